"""The miniature's word problems and the split that holds sums out."""

import json
import random

import pytest

from examples.miniature import problems, prompts, recipe


@pytest.fixture(scope="module")
def material() -> recipe.Material:
    return recipe.write_material(0)


def make_problem(*numbers: int) -> problems.Problem:
    (problem,) = problems.Writer(random.Random(0)).write(1, multisets=[tuple(sorted(numbers))])
    return problems.Problem(numbers=numbers, question=problem.question)


def test_answer_is_the_sum_and_the_reason_walks_to_it() -> None:
    problem = make_problem(5, 3, 8, 4)
    assert problem.answer == 20
    assert problem.reason == "5+3=8, 8+8=16, 16+4=20"


def test_question_tells_the_numbers_in_order() -> None:
    (problem,) = problems.Writer(random.Random(0)).write(1, multisets=[(3, 4, 5, 8)])
    told = [int(word.strip(".")) for word in problem.question.split() if word.strip(".").isdigit()]
    assert tuple(told) == problem.numbers
    assert problem.multiset == (3, 4, 5, 8)


@pytest.mark.parametrize(
    ("multiset", "want_orders"),
    [((1, 2, 3, 4), 24), ((1, 1, 3, 4), 12), ((1, 1, 3, 3), 6), ((7, 7, 7, 7), 1)],
)
def test_orders_of_a_multiset_are_counted(multiset: tuple[int, ...], want_orders: int) -> None:
    assert problems.count_orders(multiset) == want_orders


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_splits_share_no_multiset_and_cover_all(seed: int) -> None:
    split = problems.split_multisets(random.Random(seed))
    dealt = [*split.train, *split.validation, *split.test]
    assert len(dealt) == len(set(dealt)) == 495
    assert len(split.validation) == 40
    assert 55 <= len(split.test) <= 60


def test_held_out_sums_spread_like_all_sums() -> None:
    split = problems.split_multisets(random.Random(0))
    for held_out in (split.validation, split.test):
        sums = [sum(multiset) for multiset in held_out]
        assert 19 <= sum(sums) / len(sums) <= 21


def test_data_sets_have_their_sizes(material: recipe.Material) -> None:
    sizes = (len(material.train), len(material.validation), len(material.test))
    assert sizes == (6000, 400, 1200)


def test_no_question_stands_in_two_lists(material: recipe.Material) -> None:
    questions = [problem.question for name in vars(material) for problem in getattr(material, name)]
    assert len(questions) == len(set(questions))


def test_held_out_multisets_reach_neither_training_data_nor_models(
    material: recipe.Material,
) -> None:
    def multisets(name: str) -> set[problems.Multiset]:
        return {problem.multiset for problem in getattr(material, name)}

    learnt = multisets("train").union(
        *map(multisets, ("teacher_reasoned", "teacher_plain", "teacher_pairs", "student_pairs"))
    )
    assert not learnt & multisets("validation")
    assert not learnt & multisets("test")
    assert not multisets("validation") & multisets("test")


def test_same_seed_gives_the_same_problems_and_another_seed_others(
    material: recipe.Material,
) -> None:
    assert recipe.write_material(0) == material
    assert recipe.write_material(1).test != material.test


def test_plain_chat_replies_with_the_bare_number() -> None:
    system, user, reply = prompts.build_plain_chat(make_problem(1, 2, 3, 4))
    assert system == {"role": "system", "content": prompts.SYSTEM_VANILLA}
    assert user["role"] == "user"
    assert reply == {"role": "assistant", "content": "10"}


def test_reasoned_chat_differs_in_system_prompt_and_replies_in_strict_json() -> None:
    problem = make_problem(1, 2, 3, 4)
    system, user, reply = prompts.build_reasoned_chat(problem)
    assert system == {"role": "system", "content": prompts.SYSTEM_CHAIN_OF_THOUGHT}
    assert user == prompts.build_plain_chat(problem)[1]
    assert json.loads(reply["content"]) == {"reason": "1+2=3, 3+3=6, 6+4=10", "answer": "10"}
