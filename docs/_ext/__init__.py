"""What writes the generated pages: one module for each kind, called by ``conf.py``."""
