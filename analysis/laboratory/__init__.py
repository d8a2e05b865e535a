"""What the laboratory found on many games, LAB-1 to LAB-7: ours, not from a paper."""
