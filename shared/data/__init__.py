"""What sources of data have in common: their error and tensorflow-datasets (`source`)."""
