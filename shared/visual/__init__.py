"""Pictures of what a network does.

`charts`: line charts, bar charts and heat maps as SVG, readable in light and dark mode and by colour-blind
readers. Nothing here imports NumPy, Keras or a plotting library.
"""
