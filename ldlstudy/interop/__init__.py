"""Pieces for the loops of others: PyTorch's DataLoader, scikit-learn, torchmetrics and Lightning.

Losses, targets and metrics are functions that any loop can call. What a function cannot be stands
here: batches of pairs of a class and mixed batches (:mod:`ldlstudy.interop.loading`), an estimator
(:mod:`ldlstudy.interop.sklearn`), and a metric that takes batch after batch
(:mod:`ldlstudy.interop.torchmetrics`).
"""
