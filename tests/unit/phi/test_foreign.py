"""Detectors that others made: a token classifier of this disk, spaCy, Presidio; what is not there is said, and nothing is fetched."""

import socket
from pathlib import Path

import pytest
import torch

from medicalgpt.config.curation import PersonalDataConfig
from medicalgpt.curation.personal import Cleaner
from medicalgpt.errors import ConfigError
from medicalgpt.phi import Detector, Kind
from medicalgpt.phi.foreign import kind_of

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "Zorbla", "Quindle", "Vexford", "he", "came", "."]
LABELS = ["O", "B-PATIENT", "I-PATIENT", "B-HOSP"]
LABEL_OF = {"Zorbla": 1, "Quindle": 2, "Vexford": 3}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token classifier without layers: a word's embedding is its label's, so it is right about its ten words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=4,
        num_hidden_layers=0,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=64,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    model = BertForTokenClassification(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        table = torch.eye(4)[[LABEL_OF.get(word, 0) for word in WORDS]]
        model.bert.embeddings.word_embeddings.weight.copy_(table)
        model.bert.embeddings.LayerNorm.weight.fill_(1.0)
        model.classifier.weight.copy_(torch.eye(4))
    folder = tmp_path_factory.mktemp("classifier")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_token_classifier_of_this_disk_joins_by_one_key(classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was asked"))
    detector = Detector(("en",), ["patterns", f"transformers:{classifier}"])
    texts = ["he came . Zorbla Quindle came .", "", "he came . " * 80 + "Vexford"]
    found = detector.find(texts)
    told = [[(text[s.start : s.end], s.kind, s.source) for s in spans] for text, spans in zip(texts, found)]
    assert told == [
        [("Zorbla Quindle", Kind.NAME, "transformers")],
        [],
        [("Vexford", Kind.ORGANIZATION, "transformers")],  # 241 words, of which it reads 64 at a time
    ]


def test_the_same_key_stands_in_curations_config(classifier: Path) -> None:
    config = PersonalDataConfig(languages=["en"], detectors=["patterns", f"transformers:{classifier}"])
    (cleaned,) = Cleaner(config).clean([{"text": "Zorbla came. Quindle came too."}])
    assert cleaned.row == {"text": "[NAME1] came. [NAME2] came too."}


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("B-PER", Kind.NAME),
        ("I-STAFF", Kind.NAME),
        ("GPE", Kind.ADDRESS),
        ("HOSP", Kind.ORGANIZATION),
        ("DATE_TIME", Kind.DATE),
        ("PHONE_NUMBER", Kind.PHONE),
        ("us-ssn", Kind.NATIONAL_ID),
        ("CREDIT_CARD", Kind.ACCOUNT),
        ("US_DRIVER_LICENSE", Kind.LICENSE),
        ("ID", Kind.OTHER_ID),
        ("SOMETHING_NEW", Kind.OTHER_ID),  # rather masked than let through
        ("NORP", None),
        ("O", None),
    ],
)
def test_labels_become_kinds(label: str, kind: Kind | None) -> None:
    assert kind_of(label) == kind


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("transformers:", "transformers:FOLDER"),
        ("spacy", "spacy:MODEL"),
        ("transformers:/nowhere/at/all", "no config.json"),
        ("spacy:no_such_model", "spacy"),
        ("presidio:no_such_model", "presidio|spaCy"),
        ("bert:base", "patterns, names, lac, spacy:MODEL"),
    ],
)
def test_what_is_not_there_is_said(name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Detector(("en",), ["patterns", name])


def test_spacy_finds_by_its_own_labels(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    pipeline = spacy.blank("en")
    people = [
        {"label": label, "pattern": text}
        for label, text in (("PERSON", "Zorbla Quindle"), ("DATE", "two weeks"), ("NORP", "Danish"))
    ]
    pipeline.add_pipe("entity_ruler").add_patterns(people)
    pipeline.to_disk(tmp_path / "model")
    (spans,) = Detector(("en",), ["patterns", f"spacy:{tmp_path / 'model'}"]).find(
        ["Zorbla Quindle, a Danish man, came for two weeks."]
    )
    assert [(s.start, s.end, s.kind, s.source) for s in spans] == [(0, 14, Kind.NAME, "spacy")]
