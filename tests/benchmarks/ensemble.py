"""Model-epochs a second: one PyTorch loop a network against :mod:`ldlstudy.training.ensemble`.

Both train the ILS paper's network (5 hidden layers of 64, Adam, full batch of 150, validation each
epoch, early stopping) on the same data, the loop with as many intra-operation threads as serve it
best. Run by ``make bench``; prints one line a figure and their ratio. Matrix products: forward and
backward of 150 training samples and forward of 150 held-out ones, 2 operations a multiply-add.
"""

import argparse
import itertools
import time
from collections.abc import Callable

import torch
from torch import nn

from ldlstudy import mixture, targets
from ldlstudy.device import cores
from ldlstudy.training import ensemble

HIDDEN, SAMPLES = (64,) * 5, 150


def main() -> None:
    """Print the loop, the ensemble, their ratio and the share of the matrix-product rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--networks", type=int, help="in the ensemble; 600 on a CPU, else 20,000")
    args = parser.parse_args()
    device = torch.device(args.device)
    networks = args.networks or (600 if device.type == "cpu" else 20_000)
    data, members = problem(networks)
    print(f"device: {device.type}, {cores()} cores, torch {torch.__version__}")
    loop_rate(data, members, device, 1)  # warm up
    threads = [1] if device.type == "cuda" else sorted({1, cores()})
    rates = {t: loop_rate(data, members, device, t) for t in threads}
    loop = max(rates.values())
    for t, rate in rates.items():
        print(f"PyTorch loop, {t} thread(s): {rate:,.0f} model-epochs/s")
    ensemble.train(ensemble.Settings(epochs=2), data, members, device=device)  # warm up
    start = time.perf_counter()
    trained = ensemble.train(ensemble.Settings(hidden=HIDDEN), data, members, device=device)
    rate = int(trained.epochs.sum()) / (time.perf_counter() - start)
    print(f"ensemble of {networks}: {rate:,.0f} model-epochs/s")
    print(f"ratio: {rate / loop:.2f}")
    peak = product_rate(device)
    products = rate * operations()
    print(f"matrix products: {products / 1e9:,.0f} of {peak / 1e9:,.0f} GFLOP/s", end=" ")
    print(f"that one large float32 product reaches: {products / peak:.0%}")


def problem(networks: int) -> tuple[ensemble.Data, ensemble.Members]:
    """Up to 20 draws of the six Gaussians, shared out among the networks."""
    mix, draws = mixture.six_gaussians(), min(20, networks)
    train = [mix.sample(50, 2 * r) for r in range(draws)]
    held = [mix.sample(50, 2 * r + 1) for r in range(draws)]
    data = ensemble.Data(
        torch.stack([x for x, _, _ in train]),
        torch.stack([x for x, _, _ in held]),
        torch.stack([y for _, y, _ in held]),
    )
    which = torch.arange(networks) % draws
    labels = torch.stack([targets.one_hot(y, 3) for _, y, _ in train])
    return data, ensemble.Members.make(which, labels[which], torch.arange(networks), SAMPLES)


def loop_rate(
    data: ensemble.Data, members: ensemble.Members, device: torch.device, threads: int
) -> float:
    """Model-epochs a second of the usual loop over 8 networks."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    epochs, start = 0, time.perf_counter()
    for m in range(8):
        at = int(members.data[m])
        tensors = (data.inputs[at], members.targets[m], data.held_inputs[at], data.held_labels[at])
        epochs += loop(int(members.seeds[m]), *(t.to(device) for t in tensors))
    seconds = time.perf_counter() - start
    torch.set_num_threads(before)
    return epochs / seconds


def loop(seed: int, x: torch.Tensor, t: torch.Tensor, hx: torch.Tensor, hy: torch.Tensor) -> int:
    """Train one network as a PyTorch user would; return its epochs."""
    torch.manual_seed(seed)
    widths = (x.shape[1], *HIDDEN)
    layers: list[nn.Module] = []
    for i, o in itertools.pairwise(widths):
        layers += [nn.Linear(i, o), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(HIDDEN[-1], t.shape[1])).to(x.device)
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    best, waited, epoch, kept = float("inf"), 0, 0, {}
    while epoch < 500 and waited < 10:
        epoch += 1
        adam.zero_grad()
        nn.functional.cross_entropy(model(x), t).backward()
        adam.step()
        with torch.no_grad():
            loss = float(nn.functional.cross_entropy(model(hx), hy))
        waited += 1
        if loss < best:
            best, waited = loss, 0
            kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)
    return epoch


def operations() -> float:
    """Floating-point operations of one network's epoch, in its matrix products."""
    widths = (2, *HIDDEN, 3)
    sizes = [i * o for i, o in itertools.pairwise(widths)]
    forward = 2 * SAMPLES * sum(sizes)
    backward = 2 * forward - 2 * SAMPLES * sizes[0]  # nothing flows into the inputs
    return 2 * forward + backward


def product_rate(device: torch.device) -> float:
    """Operations a second of a large float32 product on all cores."""
    n = 2048 if device.type == "cpu" else 8192
    a, b = torch.randn(n, n, device=device), torch.randn(n, n, device=device)

    def product() -> None:
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()

    return 2 * n**3 / best_of(5, product)


def best_of(times: int, run: Callable[[], object]) -> float:
    """Seconds of the fastest of several runs."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
