"""CIFAR-10 and CIFAR-100 at full training on two cores: one fast network, all strategies."""
