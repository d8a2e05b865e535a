"""What a training log can tell (ours): DIAG-1 and DIAG-2."""
