"""Many-to-one: a network reads a sentence word by word, and its last state says whether it praises."""

from collections.abc import Sequence

import numpy as np

from lecture.page import page_parser, parse, save_picture
from sentiment.app import load_model
from sentiment.text.words import encode_words, split_words
from shared.system.cli import run_script
from shared.system.quiet import import_tensorflow_quietly
from shared.text.vocabulary import Vocabulary
from shared.visual.charts import line_chart

POSITIVE = """
a wonderful film . what a great story ! i loved every minute . the acting is superb . warm and clever .
i would see it again . the best film of the year . a great cast and a great script . the story is moving .
i was never bored . not bad at all ! it is not dull , it is wonderful . i did not want it to end .
the plot is simple but i loved it . superb from start to end . a warm and moving film . what a clever script !
the music is wonderful . the cast is great . never dull and always funny . a film for everyone . great fun .
it starts badly but ends well , i loved it . i laughed and i cried ."""
NEGATIVE = """
a terrible film . what a dull story ! i hated every minute . the acting is awful . slow , cold and silly .
i would not see it again . the worst film of the year . a bad cast and a bad script . the story is boring .
i was never moved . not good at all ! it is not funny , it is awful . i wanted it to end .
the plot is clever but i hated it . awful from start to end . a cold and boring film . what a silly script !
the music is terrible . the cast is bad . never funny and always slow . a film for nobody . a waste of time .
it starts well but ends badly , i hated it . i yawned and i left ."""
NEW = (
    "the music is superb .",
    "the script is terrible .",
    "a clever and moving story .",
    "the cast is awful and the plot is silly .",
    "it is not bad .",
    "the story is dull but i loved the music .",
)
LABELS = ("negative", "positive")


def training_sentences() -> tuple[list[list[str]], np.ndarray]:
    """The words of each sentence, and its label `(sentences,)`."""
    texts = [split_words(text) for text in (NEGATIVE, POSITIVE)]
    sentences, labels = [], []
    for label, words in enumerate(texts):
        ends = [index + 1 for index, word in enumerate(words) if word in (".", "!")]
        sentences += [words[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        labels += [label] * len(ends)
    return sentences, np.array(labels, np.int32)


def train(steps: int):
    """A small classifier trained on the sentences alone: an LSTM whose last state is classified."""
    import keras
    from keras import ops

    from sentiment.model.classifier import SentimentClassifier
    from shared.training.step import TrainStep

    keras.utils.set_random_seed(1)
    sentences, labels = training_sentences()
    vocabulary = Vocabulary.build(sentences)
    model = SentimentClassifier(
        vocabulary,
        LABELS,
        units=24,
        embedding_size=16,
        bidirectional=False,
        pooling="last",
        word_dropout=0.1,
        seed=1,
    )
    ids = [encode_words(vocabulary, words) for words in sentences]
    tokens = np.zeros((len(ids), max(map(len, ids))), np.int32)
    for row, sequence in zip(tokens, ids, strict=True):
        row[: len(sequence)] = sequence
    batch = {"tokens": tokens, "mask": tokens != Vocabulary.PAD, "labels": labels}

    def compute_loss(model, batch):
        logits = model(batch["tokens"], mask=batch["mask"], training=True)
        return ops.mean(ops.sparse_categorical_crossentropy(batch["labels"], logits, from_logits=True))

    step = TrainStep(model, keras.optimizers.Adam(0.01), compute_loss, clip_norm=1.0)
    losses = [step(batch)[0] for _ in range(steps)]
    print(
        f"{len(ids)} sentences, {len(vocabulary)} words; loss {losses[0]:.2f}, after {steps} steps", end=" "
    )
    print(f"{losses[-1]:.3f}")
    model.normalize_by(ids)
    return model


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    arguments = parse(page_parser("sentences", __doc__), argv)
    import_tensorflow_quietly()
    models = {"from nothing": train(60 if arguments.quick else 150), "shipped": load_model("imdb")}
    print(f"probability of praise{'':<23}" + "".join(f"{name:>14}" for name in models))
    rows = [model.probabilities(NEW)[:, 1] for model in models.values()]
    for text, *values in zip(NEW, *rows, strict=True):
        print(f"{text:<44}" + "".join(f"{value:14.2f}" for value in values))
    words = NEW[-1].split()
    beginnings = [" ".join(words[: count + 1]) for count in range(len(words))]
    read = {name: model.probabilities(beginnings)[:, 1] for name, model in models.items()}
    chart = line_chart(
        {name: (range(len(words)), values) for name, values in read.items()},
        title="Probability of praise after each word",
        y_label="probability",
        y_range=(0, 1),
        x_names=words,
    )
    save_picture(arguments.picture, chart)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
