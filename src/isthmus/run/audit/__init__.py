"""The verbs of `isthmus audit`, one file each; `import_.py` is `isthmus audit import`."""
