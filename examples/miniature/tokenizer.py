"""The miniature's tokenizer: byte-level BPE of a few hundred tokens with a ChatML template.

Any text can be tokenised (all 256 bytes are there), but the merges are learnt from the
miniature's own chats: every word, and every number up to the largest sum, is one token.
Blanks belong to the words beside them, so a number is the same token wherever it stands.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY_SIZE = 512
PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"
PIECES = r"\d+| ?[A-Za-z]+\s?|[^\sA-Za-z\d]+\s?|\s+"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def train_tokenizer(texts: Iterable[str], *, max_length: int) -> "PreTrainedTokenizerFast":
    """A fast tokenizer with merges learnt from ``texts``, special tokens and chat template set.

    Args:
        texts: Pieces of text; the more often a string occurs, the earlier it becomes one token.
        max_length: The models' context in tokens, recorded as ``model_max_length``.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
