"""Backups: everything that FlowForge is, in one file, written while it runs, and a new home made of it.

`contents` what is in a backup · `writing` · `checking` · `restoring`. The file is a zip, which any tool opens: tables as
Postgres copies them, files of the home, and at last a manifest with the SHA-256 of each.
"""

from infra.backup.checking import BackupDamaged, check
from infra.backup.contents import Manifest
from infra.backup.restoring import NotRestored, restore
from infra.backup.writing import BackupFailed, write

__all__ = ["BackupDamaged", "BackupFailed", "Manifest", "NotRestored", "check", "restore", "write"]
