"""Checks of what continuation finds on the package's maps: BIF-*."""
