"""What people do to look after it: backup, verify, mend."""
