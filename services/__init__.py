"""The parts of FlowForge: each a process of its own; they share contracts and nothing else."""
