"""Files that survive: whole writes, safe names, room on the disk. Knows no jobs and no formats."""
