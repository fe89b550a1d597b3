"""Pictures of what a network does.

- `charts`: line charts, bar charts and heat maps as SVG, readable in light and dark mode and by colour-blind
  readers
- `pages`: the frame of pages that open from disk
- `demo`: the page on which one tries a model, served by Gradio

Nothing here imports Keras or a plotting library.
"""
