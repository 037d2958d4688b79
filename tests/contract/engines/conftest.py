"""Both engines with the same tiny random model and two adapters, loaded once a session; and the
tests' double of one, which passes what every engine must."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ray_jobs.engines.base import (
    Completion,
    Constraint,
    Engine,
    EngineSettings,
    EngineType,
    Request,
    Sampling,
)
from ray_jobs.engines.environment import engine_environment
from ray_jobs.engines.making import make_engine
from ray_jobs.records import Message
from ray_jobs.rendering import Renderer
from tests.doubles.engine import make_hash_engine
from tests.models import make_tiny_adapter, make_tiny_llama

QUESTIONS = (
    "How many coins?",
    "Tom has 5 coins. Ana finds 3 coins. How many in all?",
    "Does the premise entail the hypothesis?",
    "yes",
    "Summarise the article in one sentence.",
    "0 1 2 3 4",
)

VLLM = EngineSettings(
    type=EngineType.VLLM,
    max_num_seqs=8,
    kv_cache_gib=0.05,
    enforce_eager=True,
    max_adapters=2,
    structured=True,
)
TRANSFORMERS = EngineSettings(type=EngineType.TRANSFORMERS, batch_size=4, max_adapters=2)


@dataclass(frozen=True, kw_only=True)
class Folders:
    """What the engines load."""

    model: Path
    adapters: tuple[str, str]


class Asker:
    """An engine, and the requests the tests send it."""

    def __init__(self, engine: Engine, folders: Folders) -> None:
        self.engine = engine
        self.folders = folders
        self.renderer = Renderer.from_folder(folders.model)
        self._num_asked = 0

    def prompt(self, question: str) -> list[int]:
        return self.renderer.prompt_ids([Message(role="user", content=question)])

    def request(
        self,
        prompt: str | list[int] = QUESTIONS[0],
        *,
        sampling: Sampling | None = None,
        adapter: str | None = None,
        constraint: Constraint | None = None,
    ) -> Request:
        self._num_asked += 1
        return Request(
            request_id=f"request-{self._num_asked}",
            prompt_ids=self.prompt(prompt) if isinstance(prompt, str) else prompt,
            sampling=sampling or greedy(),
            adapter=adapter,
            constraint=constraint,
        )

    def drain(self) -> dict[str, Completion]:
        """Steps until nothing is unfinished."""
        completions: dict[str, Completion] = {}
        while self.engine.num_unfinished():
            for completion in self.engine.step():
                assert completion.request_id not in completions
                completions[completion.request_id] = completion
        return completions

    def answer(self, *requests: Request) -> list[Completion]:
        """The completions in the order of the requests."""
        for request in requests:
            self.engine.add(request)
        completions = self.drain()
        return [completions[request.request_id] for request in requests]


def greedy(max_tokens: int = 16, *, stop: tuple[str, ...] = ()) -> Sampling:
    return Sampling(temperature=0.0, top_p=1.0, max_tokens=max_tokens, stop=stop)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    root = tmp_path_factory.mktemp("models")
    model = make_tiny_llama(root / "model")
    adapters = [
        make_tiny_adapter(root / f"adapter{seed}", base=model, seed=seed) for seed in (1, 2)
    ]
    return Folders(model=model, adapters=(str(adapters[0]), str(adapters[1])))


@pytest.fixture(scope="session")
def engine_process() -> Iterator[None]:
    """This process, with the environment the engines need."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in engine_environment(VLLM).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def vllm(folders: Folders, engine_process: None) -> Iterator[Asker]:
    engine = make_engine(VLLM, folders.model)
    yield Asker(engine, folders)
    engine.close()


@pytest.fixture(scope="session")
def transformers(folders: Folders, engine_process: None) -> Iterator[Asker]:
    engine = make_engine(TRANSFORMERS, folders.model)
    yield Asker(engine, folders)
    engine.close()


@pytest.fixture(scope="session")
def double(folders: Folders) -> Asker:
    return Asker(make_hash_engine(TRANSFORMERS, folders.model), folders)


@pytest.fixture(params=["vllm", "transformers", "double"])
def asker(request: pytest.FixtureRequest) -> Asker:
    """Each engine in turn, and the double."""
    asker: Asker = request.getfixturevalue(request.param)
    return asker


@pytest.fixture(params=[VLLM, TRANSFORMERS], ids=["vllm", "transformers"])
def own_settings(request: pytest.FixtureRequest, engine_process: None) -> EngineSettings:
    """Settings of each engine, to make another one with."""
    settings: EngineSettings = replace(request.param, max_adapters=0, structured=False)
    return settings
