#!/usr/bin/env python3
"""Trains and measures the model that decides what a reply means (policy/reply/reply_model.h).

    reply_model.py measure [--features PROGRAM]   figures, on wordings that were not trained on
    reply_model.py train [--features PROGRAM]     writes policy/reply/reply_model_data.cc
    reply_model.py hash                           of all that the model is made from

PROGRAM is tests/bench/reply_features of a build (-DDEFERD_BENCH=ON); it extracts the features, in
the very code that the daemon runs. Takes python3-sklearn (install-packages.sh train).

Measuring is cross-validation by families of wordings: replies that share half of the shorter one's
sequences of three masked words belong together, and so does what is connected by such pairs. A
family is trained on or judged, never both. The table tells the files apart, for the rules were
written with a look at all of them but real-2.tsv: only its figures stand for unseen replies.
"""

import argparse
import collections
import hashlib
import pathlib
import re
import subprocess
import sys
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/testdata/replies"
OUTPUT = ROOT / "policy/reply/reply_model_data.cc"
CLASSES = """invalid_recipient mailbox_disabled mailbox_full greylisting rate_limited reputation
authentication sender_identity relay_denied content policy message_too_large dns_routing tls network
mail_loop server_resources protocol_error local unclassified""".split()
# Columns of reply, class, permanence and other classes that would be right.
FILES = {
    "real.tsv": (0, 2, 3, 4),
    "real-2.tsv": (0, 2, 3, 4),
    "own.tsv": (2, 0, 1, None),
    "world.tsv": (4, 0, 2, 3),
    "more.tsv": (4, 0, 2, 3),
}
UNSEEN = "real-2.tsv"
WEIGHT = {UNSEEN: 2.0}  # what the rules were not written for tells best when they err
ALSO = 0.3  # of a reply's weight goes to the other classes that would be right
FEATURES = 4500
C = 0.5
FOLDS = 5
SURE = 0.8


class Reply:
    def __init__(self, name, text, label, permanence, also):
        self.file, self.text, self.label = name, text, CLASSES.index(label)
        self.permanence = permanence
        self.also = [CLASSES.index(one) for one in also]


def input_hash():
    digest = hashlib.sha256()
    for path in [ROOT / "policy/reply/reply_rules.txt", ROOT / "policy/reply/reply_concepts.txt"]:
        digest.update(path.read_bytes())
    for name in FILES:
        digest.update((DATA / name).read_bytes())
    return digest.hexdigest()


def load(program):
    replies = []
    for name, (text, label, permanence, also) in FILES.items():
        for line in (DATA / name).read_text("utf-8", "surrogateescape").split("\n"):
            if not line or line[0] == "#":
                continue
            part = line.split("\t")
            others = [] if also is None else part[also].split(",")
            replies.append(Reply(name, part[text], part[label], part[permanence],
                                 [one for one in others if one in CLASSES]))
    lines = "".join(reply.text + "\n" for reply in replies).encode("utf-8", "surrogateescape")
    output = subprocess.run([program], input=lines, stdout=subprocess.PIPE, check=True).stdout
    for reply, line in zip(replies, output.decode().splitlines(), strict=True):
        part = line.split()
        reply.rule_class = CLASSES.index(part[0])
        reply.guess, reply.said = part[1], part[2] == "1"
        reply.hashes = {int(one, 16) for one in part[3:]}
    return replies


def masked_words(text):
    text = re.sub(r"\S*@\S*|\S*\d\S*", " ", text.lower())
    return re.findall(r"[^\W\d_]+", text)


def families(replies):
    owners = collections.defaultdict(list)
    sequences = []
    for i, reply in enumerate(replies):
        words = masked_words(reply.text)
        mine = {tuple(words[j:j + 3]) for j in range(len(words) - 2)} or {tuple(words)}
        sequences.append(mine)
        for one in mine:
            owners[one].append(i)
    parent = list(range(len(replies)))

    def top(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, mine in enumerate(sequences):
        shared = collections.Counter(j for one in mine for j in owners[one] if j < i)
        for j, count in shared.items():
            if 2 * count >= min(len(mine), len(sequences[j])):
                parent[top(i)] = top(j)
    # Named by their first text, so that a new file moves none to another fold.
    return [zlib.crc32(replies[top(i)].text.encode("utf-8", "surrogateescape")) & 0xFFFFFFFF
            for i in range(len(replies))]


class Model:
    """Weights as the daemon has them: whole numbers, and what one of them stands for."""

    def __init__(self, features, weights, bias, step):
        self.features, self.weights, self.bias, self.step = features, weights, bias, step

    def scores(self, replies):
        import numpy as np
        index = {feature: i for i, feature in enumerate(self.features)}
        out = np.zeros((len(replies), len(CLASSES) + 1), np.int64)
        for row, reply in enumerate(replies):
            known = [index[one] for one in reply.hashes if one in index]
            out[row] = self.bias + self.weights[known].sum(axis=0)
        return out


def matrix(replies, features):
    import numpy as np
    import scipy.sparse
    index = {feature: i for i, feature in enumerate(features)}
    columns, ends = [], [0]
    for reply in replies:
        columns += sorted(index[one] for one in reply.hashes if one in index)
        ends.append(len(columns))
    return scipy.sparse.csr_matrix((np.ones(len(columns)), columns, ends),
                                   shape=(len(replies), len(features)))


def fit(replies):
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    count = collections.Counter(one for reply in replies for one in reply.hashes)
    features = sorted(one for one, times in count.items() if times >= 2)
    rows, labels, weights = [], [], []
    for reply in replies:
        weight = WEIGHT.get(reply.file, 1.0)
        rows.append(reply)
        labels.append(reply.label)
        weights.append(weight * (1 - ALSO) if reply.also else weight)
        for one in reply.also:
            rows.append(reply)
            labels.append(one)
            weights.append(weight * ALSO / len(reply.also))
    for keep in (FEATURES, None):
        learnt = LogisticRegression(C=C, max_iter=300, tol=1e-3)
        learnt.fit(matrix(rows, features), labels, sample_weight=weights)
        if keep is not None and keep < len(features):
            strength = np.abs(learnt.coef_).max(axis=0)
            features = sorted(features[i] for i in np.argsort(-strength)[:keep])
    float_weights = np.zeros((len(features), len(CLASSES) + 1))
    float_bias = np.zeros(len(CLASSES) + 1)
    float_bias[:] = -50
    for row, label in enumerate(learnt.classes_):
        float_weights[:, label] = learnt.coef_[row]
        float_bias[label] = learnt.intercept_[row]
    # Whether a reply without code or mark is final.
    unsaid = [one for one in replies if not one.said and one.permanence != "-"]
    final = LogisticRegression(C=C, max_iter=300, tol=1e-3, class_weight="balanced")
    final.fit(matrix(unsaid, features), [one.permanence == "permanent" for one in unsaid])
    float_weights[:, -1], float_bias[-1] = final.coef_[0], final.intercept_[0]
    step = np.abs(float_weights).max() / 127
    return Model(features, np.rint(float_weights / step).astype(np.int64),
                 np.rint(float_bias / step).astype(np.int64), step)


def probabilities(scores, scale):
    import numpy as np
    logits = scores[:, :-1] * scale
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def cross_validate(replies, family, share=1.0):
    """Scores of each reply by a model that knows no reply of its family, as logarithms of odds."""
    import numpy as np
    out = np.zeros((len(replies), len(CLASSES) + 1))
    for fold in range(FOLDS):
        known = [one for one, name in zip(replies, family)
                 if name % FOLDS != fold and name // FOLDS % 1000 < 1000 * share]
        judged = [i for i, name in enumerate(family) if name % FOLDS == fold]
        model = fit(known)
        out[judged] = model.scores([replies[i] for i in judged]) * model.step
    return out


def calibrate(replies, scores):
    """The factor of the scores under which unseen replies' probabilities are true."""
    import numpy as np
    chosen = [i for i, one in enumerate(replies) if one.file == UNSEEN]
    labels = [replies[i].label for i in chosen]

    def surprise(scale):
        found = probabilities(scores[chosen], scale)
        return -np.log(found[range(len(chosen)), labels] + 1e-9).mean()

    return min(np.arange(0.4, 1.6, 0.05), key=surprise)


def figures(replies, found, rules=False):
    import numpy as np
    right = also = wrong_sure = sure = unsure = 0
    for reply, row in zip(replies, found):
        guess = reply.rule_class if rules else int(np.argmax(row))
        good = guess == reply.label or guess in reply.also
        right += guess == reply.label
        also += good
        confident = rules or row.max() >= SURE
        sure += confident
        unsure += not rules and row.max() < 0.5
        wrong_sure += confident and not good
    n = max(1, len(replies))
    return [100 * x / n for x in (right, also, wrong_sure, sure, unsure)]


def measure(replies):
    import numpy as np
    family = families(replies)
    scores = cross_validate(replies, family)
    scale = calibrate(replies, scores)
    found = probabilities(scores, scale)
    print(f"{len(replies)} replies of {len(set(family))} families, {FOLDS} folds, scale {scale:.2f}")
    print(f"\n{'file':12} {'replies':>7} {'right':>6} {'or also right':>14} {'wrong and sure':>15}"
          f" {'sure':>6} {'unsure':>7} {'rules alone':>16} {'permanence':>11}")
    for name in FILES:
        rows = [i for i, one in enumerate(replies) if one.file == name]
        mine = [replies[i] for i in rows]
        a = figures(mine, found[rows])
        b = figures(mine, found[rows], rules=True)
        permanence = [one.permanence == (one.guess if one.said or one.rule_class == found[i].argmax()
                                         else "permanent" if scores[i][-1] > 0 else "transient")
                      for i, one in zip(rows, mine) if one.permanence != "-"]
        print(f"{name:12} {len(rows):7} {a[0]:6.1f} {a[1]:14.1f} {a[2]:15.1f} {a[3]:6.1f} {a[4]:7.1f}"
              f" {b[0]:8.1f} /{b[1]:6.1f} {100 * np.mean(permanence):11.1f}")
    rows = [i for i, one in enumerate(replies) if one.file == UNSEEN]
    guess = found.argmax(axis=1)
    print(f"\nby class, {UNSEEN}: how many of the class are found, how many of the answers are right")
    for label, name in enumerate(CLASSES):
        of_class = [i for i in rows if replies[i].label == label]
        answers = [i for i in rows if guess[i] == label]
        hit = sum(guess[i] == label for i in of_class)
        good = sum(label == replies[i].label or label in replies[i].also for i in answers)
        print(f"  {name:18} {hit:4} of {len(of_class):4}   {good:4} of {len(answers):4}")
    print("\ncalibration: confidence, replies, of which right or also right")
    for low, high in ((0, .3), (.3, .5), (.5, .7), (.7, .8), (.8, .9), (.9, .97), (.97, 1.01)):
        inside = [i for i in rows if low <= found[i].max() < high]
        good = [guess[i] == replies[i].label or guess[i] in replies[i].also for i in inside]
        print(f"  {low:.2f} to {min(high, 1):.2f} {len(inside):5}  {100 * np.mean(good or [0]):5.1f} %")
    print("\nmost frequent confusions (label -> answer)")
    wrong = collections.Counter((CLASSES[replies[i].label], CLASSES[guess[i]]) for i in rows
                                if guess[i] != replies[i].label and guess[i] not in replies[i].also)
    for (label, answer), times in wrong.most_common(12):
        print(f"  {times:3} {label} -> {answer}")
    print("\nlearning curve: share of the families trained on, right, or also right")
    for share in (0.25, 0.5, 1.0):
        part = found if share == 1 else probabilities(cross_validate(replies, family, share), scale)
        a = figures([replies[i] for i in rows], part[rows])
        print(f"  {share:4.2f} {a[0]:6.1f} {a[1]:6.1f}")


def write(model, scale):
    size = 1
    while size < 3 * len(model.features):
        size *= 2
    slots = [0] * size
    for i, feature in enumerate(model.features):
        slot = feature % size
        while slots[slot] != 0:
            slot = (slot + 1) % size
        slots[slot] = i + 1

    def lines(values, width=96):
        out, line = [], ""
        for value in values:
            if len(line) + len(value) + 1 > width:
                out.append(line)
                line = ""
            line += value + ","
        return "\n".join(out + [line])

    flat = [str(w) for row in model.weights for w in row]
    OUTPUT.write_text(f"""// Made by tests/bench/reply_model.py train. Not to be edited.
// clang-format off

#include "policy/reply/reply_model.h"

namespace deferd {{

namespace {{

constexpr uint32_t kFeatures[] = {{
{lines([f"0x{one:x}" for one in model.features])}
}};

constexpr int8_t kWeights[] = {{
{lines(flat)}
}};

constexpr uint16_t kSlots[] = {{
{lines([str(one) for one in slots])}
}};

}}  // namespace

const ReplyModel& BuiltInReplyModel() {{
  static const ReplyModel model = {{
      .inputs = "{input_hash()}",
      .features = kFeatures,
      .weights = kWeights,
      .slots = kSlots,
      .bias = {{{", ".join(str(one) for one in model.bias)}}},
      .scale = {model.step * scale!r}}};
  return model;
}}

}}  // namespace deferd
""")


def write_golden(replies, model, scale):
    """What this script finds for each 8th reply; the C++ has to find the same."""
    chosen = replies[::8]
    found = probabilities(model.scores(chosen), model.step * scale)
    lines = ["# Made by tests/bench/reply_model.py train: class, confidence and hash of the scores that it",
             "# finds with the model for replies of the files beside this one."]
    for reply, row, scores in zip(chosen, found, model.scores(chosen)):
        lines.append("\t".join([CLASSES[row.argmax()], f"{row.max():.4f}",
                                str(zlib.crc32(",".join(map(str, scores)).encode())), reply.text]))
    (DATA / "model.golden").write_text("\n".join(lines) + "\n", "utf-8", "surrogateescape")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("verb", choices=["measure", "train", "hash"])
    parser.add_argument("--features", default=str(ROOT / "build/tests/bench/reply_features"))
    options = parser.parse_args()
    if options.verb == "hash":
        print(input_hash())
        return
    replies = load(options.features)
    if options.verb == "measure":
        measure(replies)
        return
    scores = cross_validate(replies, families(replies))
    scale = calibrate(replies, scores)
    model = fit(replies)
    write(model, scale)
    write_golden(replies, model, scale)
    print(f"{len(model.features)} features, scale {scale:.2f}, step {model.step:.4f}")


if __name__ == "__main__":
    sys.exit(main())
