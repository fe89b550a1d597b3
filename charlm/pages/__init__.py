"""The page that `python -m charlm.visualize` writes: what a character model does at each character of a text.

- `reading`: surprise, expectations, cells, gates and memory of a model that reads a text
- `cells`: which cells tell quotations, lines, capitals or speakers apart
- `weights`: the model in int8, for the page's own LSTM to write on
- `page`: all of it as one HTML file
- `demo`: the tab of the page that `python -m charlm.demo` serves
"""
