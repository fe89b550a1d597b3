"""A run on disk: its `folder`, its settings (`config`), and `presets`, small trained models that ship."""
