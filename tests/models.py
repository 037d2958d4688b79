"""Tiny models and tokenizers made in code, so that tests run the real engines without a download.

``make_tiny_tokenizer`` trains a byte-level BPE on a few sentences; ``make_tiny_llama`` adds random
Llama weights in the format every engine reads. Both are seeded: the same call gives the same bytes.
"""

import json
from pathlib import Path
from typing import Any

CHATML_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
"""As SmolLM2's and Qwen's, without a default system message."""

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>")

_CORPUS = (
    "system user assistant Question: Answer: [INST] [/INST]",
    "Tom has 5 coins. Ana finds 3 coins. How many coins are there in all?",
    "Does the premise entail the hypothesis? Answer with entailment, neutral or contradiction.",
    "The quick brown fox jumps over the lazy dog. Summarise the article in one sentence.",
    '{"reasoning": "first 5, then 3 more", "answer": "8"}',
    "0 1 2 3 4 5 6 7 8 9 10 20 30 A B C D E yes no",
)


def make_tiny_tokenizer(
    folder: Path,
    *,
    vocab_size: int = 512,
    chat_template: str | None = CHATML_TEMPLATE,
    eos_token: str = "<|im_end|>",
    bos_token: str | None = None,
) -> Path:
    """Saves a byte-level BPE tokenizer of at most ``vocab_size`` tokens; returns the folder."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(_CORPUS, trainer=trainer)
    if bos_token is not None:
        bos_id = backend.token_to_id(bos_token)
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos_token} $A", special_tokens=[(bos_token, bos_id)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=eos_token,
        pad_token="<|endoftext|>",
        bos_token=bos_token,
    )
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    return folder


def make_tiny_llama(
    folder: Path,
    *,
    seed: int = 0,
    hidden_size: int = 64,
    num_layers: int = 2,
    max_position_embeddings: int = 256,
    **tokenizer_options: Any,
) -> Path:
    """Saves a random Llama (fp32, tied embeddings, about 0.2 M parameters) with its tokenizer.

    Args:
        folder: Made if absent.
        seed: Of the weights. They are drawn wide, so that greedy answers differ by prompt and have
            no near ties between engines.
        tokenizer_options: Passed to ``make_tiny_tokenizer``.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    make_tiny_tokenizer(folder, **tokenizer_options)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=hidden_size // 32,
        num_key_value_heads=hidden_size // 32,
        max_position_embeddings=max_position_embeddings,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return folder


def make_tiny_adapter(folder: Path, *, base: Path, seed: int = 1, rank: int = 8) -> Path:
    """Saves a LoRA adapter of the model in ``base`` which changes its answers (random, wide)."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=["q_proj", "v_proj", "up_proj"],
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        adapted = get_peft_model(model, config)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.5)
    adapted.save_pretrained(folder)
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """The model's ``config.json``."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config
