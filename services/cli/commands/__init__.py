"""The commands, one module per subject; each is loaded when it is used."""
