"""Soft labels and calibration: the strategies, models and metrics of four papers.

Import the part you need (``from ldlstudy import targets, metrics``); nothing heavy is loaded here.
Data flows one way: mixture and data -> targets, mixing, losses -> ensemble, train -> records ->
tables, plots -> the book.
"""

__version__ = "0.1.0"
