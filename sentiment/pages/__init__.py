"""The page that `python -m sentiment.visualize` writes: how a text's label came about, word by word.

- `views`: of one text, its words' weights, the probability after each word, and without each word
- `page`: all texts as one HTML file
- `demo`: the tab of the page that `python -m sentiment.demo` serves
"""
