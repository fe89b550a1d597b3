"""The page that `python -m captioning.visualize` writes: how captions of photographs came about.

- `views`: of one photograph, its captions, where each word looked, and what the search tried and dropped
- `gallery`: the photographs of a data set by how well their captions agree with people's
- `page`: all of it as one HTML file
- `demo`: the tab of the page that `python -m captioning.demo` serves
"""
