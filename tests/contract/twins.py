"""Every rule a second time, as plainly as the papers have it: NumPy, float64, one parameter alone.

A twin is a generator. It is given a parameter and its steps, which are gradients with the
hyperparameters in force, and yields the parameter after each of them. Here t counts from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import exp, log
from types import SimpleNamespace

import numpy as np
from numpy import abs, maximum, ndarray, sign, sqrt
from numpy.linalg import norm

Steps = Iterable[tuple[ndarray, SimpleNamespace]]
Twin = Callable[[ndarray, Steps], Iterator[ndarray]]


def sgd(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    b = None
    for g, h in steps:
        g = g + h.weight_decay * x
        if h.momentum:
            b = g if b is None else h.momentum * b + (1 - h.dampening) * g
            g = g + h.momentum * b if h.nesterov else b
        x = x - h.lr * g
        yield x


def momentum(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    v = 0.0
    for g, h in steps:
        v = h.momentum * v - h.lr * (g + h.weight_decay * x)
        x = x + v
        yield x


def nesterov(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    v, ahead = 0.0, x
    for g, h in steps:
        v = h.momentum * v - h.lr * (g + h.weight_decay * ahead)
        x = x + v
        ahead = x + h.momentum * v
        yield ahead


def adagrad(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    G = None
    for t, (g, h) in enumerate(steps, 1):
        G = h.initial_accumulator_value if G is None else G
        g = g + h.weight_decay * x
        G = G + g**2
        x = x - h.lr / (1 + (t - 1) * h.lr_decay) * g / (sqrt(G) + h.eps)
        yield x


def rmsprop(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    v = a = b = 0.0
    for g, h in steps:
        g = g + h.weight_decay * x
        v = h.beta * v + (1 - h.beta) * g**2
        a = h.beta * a + (1 - h.beta) * g if h.centered else 0.0
        b = h.momentum * b + g / (sqrt(maximum(v - a**2, 0)) + h.eps)
        x = x - h.lr * b
        yield x


def rmsprop_tf(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    v, a, b = 1.0, 0.0, 0.0
    for g, h in steps:
        g = g + h.weight_decay * x
        v = h.beta * v + (1 - h.beta) * g**2
        a = h.beta * a + (1 - h.beta) * g if h.centered else 0.0
        b = h.momentum * b + h.lr * g / sqrt(v - a**2 + h.eps)
        x = x - b
        yield x


def rmsprop_text(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    V = 0.0
    for g, h in steps:
        g = g + h.weight_decay * x
        V = sqrt(h.beta * V + (1 - h.beta) * g**2) + h.eps
        x = x - h.lr * g / V
        yield x


def adadelta(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    v = u = 0.0
    for g, h in steps:
        g = g + h.weight_decay * x
        v = h.beta * v + (1 - h.beta) * g**2
        delta = sqrt(u + h.eps) / sqrt(v + h.eps) * g
        u = h.beta * u + (1 - h.beta) * delta**2
        x = x - h.lr * delta
        yield x


def adam(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    m = v = 0.0
    for t, (g, h) in enumerate(steps, 1):
        g = g + h.weight_decay * x
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        m_hat, v_hat = m / (1 - h.beta1**t), v / (1 - h.beta2**t)
        x = x - h.lr * m_hat / (sqrt(v_hat) + h.eps)
        yield x


def adamw(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    m = v = 0.0
    for t, (g, h) in enumerate(steps, 1):
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        m_hat, v_hat = m / (1 - h.beta1**t), v / (1 - h.beta2**t)
        x = x - h.lr * (m_hat / (sqrt(v_hat) + h.eps) + h.weight_decay * x)
        yield x


def amsgrad(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    m = v = largest = 0.0
    for t, (g, h) in enumerate(steps, 1):
        g = g + h.weight_decay * x
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        largest = maximum(largest, v)
        m_hat, v_hat = m / (1 - h.beta1**t), largest / (1 - h.beta2**t)
        x = x - h.lr * m_hat / (sqrt(v_hat) + h.eps)
        yield x


def adamax(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    m = u = 0.0
    for t, (g, h) in enumerate(steps, 1):
        g = g + h.weight_decay * x
        m = h.beta1 * m + (1 - h.beta1) * g
        u = maximum(h.beta2 * u, abs(g) + h.eps)
        x = x - h.lr / (1 - h.beta1**t) * m / u
        yield x


def nadam(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    m, v, product = 0.0, 0.0, 1.0
    for t, (g, h) in enumerate(steps, 1):
        if h.decoupled_weight_decay:
            x = x - h.lr * h.weight_decay * x
        else:
            g = g + h.weight_decay * x
        mu = h.beta1 * (1 - 0.5 * 0.96 ** (t * h.momentum_decay))
        mu_next = h.beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * h.momentum_decay))
        product = product * mu
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        m_hat = mu_next * m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
        v_hat = v / (1 - h.beta2**t)
        x = x - h.lr * m_hat / (sqrt(v_hat) + h.eps)
        yield x


def radam(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    m = v = 0.0
    for t, (g, h) in enumerate(steps, 1):
        if h.decoupled_weight_decay:
            x = x - h.lr * h.weight_decay * x
        else:
            g = g + h.weight_decay * x
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        m_hat = m / (1 - h.beta1**t)
        rho_inf = 2 / (1 - h.beta2) - 1
        rho = rho_inf - 2 * t * h.beta2**t / (1 - h.beta2**t)
        if rho > 5:
            above, below = (rho - 4) * (rho - 2) * rho_inf, (rho_inf - 4) * (rho_inf - 2) * rho
            adapted = sqrt(1 - h.beta2**t) / (sqrt(v) + h.eps)
            x = x - h.lr * m_hat * sqrt(above / below) * adapted
        else:
            x = x - h.lr * m_hat
        yield x


def lion(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    m = 0.0
    for g, h in steps:
        c = h.beta1 * m + (1 - h.beta1) * g
        x = x - h.lr * (sign(c) + h.weight_decay * x)
        m = h.beta2 * m + (1 - h.beta2) * g
        yield x


def adopt(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    m = v = 0.0
    for t, (g, h) in enumerate(steps, 1):
        if h.decoupled_weight_decay:
            x = x - h.lr * h.weight_decay * x if t > 1 else x
        else:
            g = g + h.weight_decay * x
        if t == 1:
            v = g**2
        else:
            clip = (t - 1) ** 0.25
            m = h.beta1 * m + (1 - h.beta1) * np.clip(g / maximum(sqrt(v), h.eps), -clip, clip)
            x = x - h.lr * m
            v = h.beta2 * v + (1 - h.beta2) * g**2
        yield x


def ademamix(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    m1 = m2 = v = 0.0
    for t, (g, h) in enumerate(steps, 1):
        alpha, beta3, T = h.mix, h.beta3, h.warmup
        if t < T:
            alpha = t / T * h.mix
            ln1, ln3 = log(h.beta1), log(h.beta3)
            beta3 = exp(ln1 * ln3 / ((1 - t / T) * ln3 + t / T * ln1))
        m1 = h.beta1 * m1 + (1 - h.beta1) * g
        m2 = beta3 * m2 + (1 - beta3) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        m1_hat, v_hat = m1 / (1 - h.beta1**t), v / (1 - h.beta2**t)
        x = x - h.lr * ((m1_hat + alpha * m2) / (sqrt(v_hat) + h.eps) + h.weight_decay * x)
        yield x


def madgrad(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    s, nu, x0 = 0.0, 0.0, x
    for t, (g, h) in enumerate(steps, 1):
        g = g + h.weight_decay * x
        rate = (h.lr + h.eps) * sqrt(t)
        s = s + rate * g
        nu = nu + rate * g**2
        z = x0 - s / (np.cbrt(nu) + h.eps)
        x = h.momentum * x + (1 - h.momentum) * z
        yield x


def lars(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    v = 0.0
    for g, h in steps:
        rate, decay = h.lr, 0.0
        if x.ndim > 1:
            decay = h.weight_decay
            if norm(x) > 0 and norm(g) + decay * norm(x) > 0:
                rate = h.lr * h.trust * norm(x) / (norm(g) + decay * norm(x))
        v = h.momentum * v + rate * (g + decay * x)
        x = x - v
        yield x


def muon(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    B = 0.0
    steps = list(steps)
    if x.ndim < 2 or len(x) < steps[0][1].least:
        yield from adamw(x, ((g, slower(h)) for g, h in steps))
        return
    for G, h in steps:
        B = h.momentum * B + (1 - h.momentum) * G
        M = (1 - h.momentum) * G + h.momentum * B if h.nesterov else B
        M = M.reshape(len(x), -1)
        scale = sqrt(max(1, M.shape[0] / M.shape[1]))
        x = x - h.lr * h.weight_decay * x
        x = x - h.lr * scale * newton_schulz(M, h.iterations).reshape(x.shape)
        yield x


def slower(h: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(h), "lr": h.lr * h.adam_share})


def newton_schulz(M: ndarray, iterations: int) -> ndarray:
    """X ← aX + bXXᵀX + c(XXᵀ)²X, as it acts on singular values."""
    U, s, V = np.linalg.svd(M, full_matrices=False)
    s = s / (norm(M) + 1e-7)
    for _ in range(iterations):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return U @ np.diag(s) @ V


def soap(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    """With A = LeftᵀG Right for both bases; those of vectors and of long sides are identities."""
    matrix = x.reshape(len(x), -1) if x.ndim > 1 else x[None]
    M, V = np.zeros_like(matrix), np.zeros_like(matrix)
    grams = [np.zeros((n, n)) for n in matrix.shape]
    bases = [np.eye(n) for n in matrix.shape]
    for t, (g, h) in enumerate(steps):
        G = g.reshape(matrix.shape)
        if t > 0:
            left, right = bases
            M = h.beta1 * M + (1 - h.beta1) * G
            V = h.beta2 * V + (1 - h.beta2) * (left.T @ G @ right) ** 2
            N = left @ (left.T @ M @ right / (sqrt(V) + h.eps)) @ right.T
            rate = h.lr * sqrt(1 - h.beta2**t) / (1 - h.beta1**t)
            x = (1 - h.lr * h.weight_decay) * (x - rate * N.reshape(x.shape))
        for axis, gram in enumerate((G @ G.T, G.T @ G)):
            if x.ndim < 2 or len(gram) > h.largest:
                continue
            grams[axis] = h.beta3 * grams[axis] + (1 - h.beta3) * gram
            if t == 0:
                bases[axis] = np.linalg.eigh(grams[axis])[1][:, ::-1]
            elif t % h.frequency == 0:
                Q = bases[axis]
                order = np.argsort(-np.diag(Q.T @ grams[axis] @ Q))
                V = np.take(V, order, axis)
                bases[axis] = np.linalg.qr(grams[axis] @ Q[:, order])[0]
        yield x


def schedule_free_sgd(y: ndarray, steps: Steps) -> Iterator[ndarray]:
    x, z, total = y, y, 0.0
    for t, (g, h) in enumerate(steps, 1):
        rise = min(1, t / h.warmup) if h.warmup else 1.0
        total = total + rise**2
        z = z - h.lr * rise * (g + h.weight_decay * y)
        x = (1 - rise**2 / total) * x + rise**2 / total * z
        y = (1 - h.beta) * z + h.beta * x
        yield y


def schedule_free_adamw(y: ndarray, steps: Steps) -> Iterator[ndarray]:
    x, z, v, total = y, y, 0.0, 0.0
    for t, (g, h) in enumerate(steps, 1):
        rise = min(1, t / h.warmup) if h.warmup else 1.0
        total = total + rise**2
        v = h.beta2 * v + (1 - h.beta2) * g**2
        u = g / (sqrt(v / (1 - h.beta2**t)) + h.eps) + h.weight_decay * y
        z = z - h.lr * rise * u
        x = (1 - rise**2 / total) * x + rise**2 / total * z
        y = (1 - h.beta1) * z + h.beta1 * x
        yield y


def prodigy(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    m = v = r = s = 0.0
    x0, d = x, None
    for g, h in steps:
        d = h.d0 if d is None else d
        beta3 = sqrt(h.beta2)
        m = h.beta1 * m + d * (1 - h.beta1) * g
        v = h.beta2 * v + d**2 * (1 - h.beta2) * g**2
        r = beta3 * r + (1 - beta3) * h.lr * d**2 * (g.ravel() @ (x0 - x).ravel())
        s = beta3 * s + (1 - beta3) * h.lr * d**2 * g
        rate = h.lr * d
        d = max(d, h.growth * r / abs(s).sum()) if abs(s).sum() else d
        x = x - rate * h.weight_decay * x
        x = x - rate * m / (sqrt(v) + d * h.eps)
        yield x


def swats(x: ndarray, steps: Steps) -> Iterator[ndarray]:
    m = v = b = average = 0.0
    rate = None
    for t, (g, h) in enumerate(steps, 1):
        if rate is not None:
            b = h.beta1 * b + g
            x = x - (1 - h.beta1) * rate * h.lr * b
            yield x
            continue
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        m_hat, v_hat = m / (1 - h.beta1**t), v / (1 - h.beta2**t)
        p = -h.lr * m_hat / (sqrt(v_hat) + h.eps)
        x = x + p
        gamma = (p.ravel() @ p.ravel()) / -(p.ravel() @ g.ravel())
        average = h.beta2 * average + (1 - h.beta2) * gamma
        corrected = average / (1 - h.beta2**t)
        agree = t > 1 and abs(corrected - gamma) < h.tolerance
        if corrected > 0 and (t >= h.switch_at if h.switch_at else agree):
            rate = corrected / h.lr
        yield x


TWINS: dict[str, Twin] = {
    "adadelta": adadelta,
    "adagrad": adagrad,
    "adam": adam,
    "adamax": adamax,
    "adamw": adamw,
    "ademamix": ademamix,
    "adopt": adopt,
    "amsgrad": amsgrad,
    "lars": lars,
    "lion": lion,
    "madgrad": madgrad,
    "momentum": momentum,
    "muon": muon,
    "nadam": nadam,
    "nesterov": nesterov,
    "prodigy": prodigy,
    "radam": radam,
    "rmsprop": rmsprop,
    "rmsprop-text": rmsprop_text,
    "rmsprop-tf": rmsprop_tf,
    "schedule-free-adamw": schedule_free_adamw,
    "schedule-free-sgd": schedule_free_sgd,
    "sgd": sgd,
    "soap": soap,
    "swats": swats,
}
