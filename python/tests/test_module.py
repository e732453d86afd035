"""What the module is: its names, versions and documentation."""

import ast
import inspect
import pathlib

import numpy as np
import pytest

import saccade


def test_every_public_name_is_documented():
    for name in saccade.__all__:
        assert name == "__version__" or inspect.getdoc(getattr(saccade, name)), name


def test_the_stub_knows_what_the_module_has():
    stub = (pathlib.Path(saccade._saccade.__file__).parent / "_saccade.pyi").read_text()
    for name in ("attend", "decode", "merge", "see", "select", "list", "show", "set_threads", "threads", "cpu_targets"):
        assert f"def {name}(" in stub
    for name in ("BlockMask", "Cost", "Patterns", "Plan", "Selection"):
        assert f"class {name}" in stub
    assert (pathlib.Path(saccade.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize("word", ["where", "weigh"])
def test_the_stubs_know_the_classes_made_from_the_catalogue(word):
    module = getattr(saccade, word)
    stub = ast.parse((pathlib.Path(saccade._saccade.__file__).parent / f"{word}.pyi").read_text())
    known = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
    for info in saccade.list(word):
        if info["name"] == "none":  # where.None can be written by getattr alone
            continue
        (made,) = (made for made in vars(module).values() if getattr(made, "name", None) == info["name"])
        (init,) = (node for node in known[made.__name__].body if isinstance(node, ast.FunctionDef))
        assert [argument.arg for argument in init.args.args[1:]] == [param["name"] for param in info["params"]]
    assert set(module.__all__) - {"spec_of", "None"} == set(known)


def test_list_and_show_tell_the_same():
    for info in saccade.list():
        assert saccade.show(info["name"]) == info
        assert info["sentence"] and info["source"], info["name"]
    assert {info["word"] for info in saccade.list("where")} == {"where"}


def test_a_typo_names_its_neighbour():
    with pytest.raises(ValueError, match='did you mean "window"'):
        saccade.show("windw")
    with pytest.raises(ValueError, match='did you mean "where"'):
        saccade.list("wher")


def test_threads_are_what_was_asked_for():
    before = saccade.threads()
    saccade.set_threads(3)
    assert saccade.threads() == 3
    saccade.set_threads(before)
    with pytest.raises(ValueError, match="threads must be >= 1, got 0"):
        saccade.set_threads(0)


@pytest.mark.parametrize("info", [i for i in saccade.list("where") if i["goes_by"] != "choices"], ids=lambda i: i["name"])
def test_every_mechanism_has_a_class_of_its_name(info):
    cls = getattr(saccade.where, "".join(part.capitalize() for part in info["name"].split("_")))
    assert saccade.Plan(str(cls())) == saccade.Plan(info["name"])
    q = np.ones((1, 40, 2, 32), np.float32)
    assert saccade.attend(q, q, q, cls()).shape == q.shape


def test_objects_join_as_specs_do():
    w = saccade.where
    assert saccade.Plan(str((w.Window(9) + w.Sink(4)) & w.Dense())) == saccade.Plan("(window(n=9)+sink(n=4))&dense")
    with pytest.raises(ValueError, match='unknown parameter "m"'):
        w.Window(m=3)
    with pytest.raises(ValueError, match="must be >= 1"):
        w.Window(0)
    with pytest.raises(TypeError, match="at most 1"):
        w.Window(1, 2)


class Mine:
    """An object of somebody else's."""

    def __init__(self, name, **attributes):
        self.name = name
        self.__dict__.update(attributes)


WEIGHS = ["softcap(2)", "softcap(c=2)", saccade.weigh.Softcap(2), saccade.weigh.Softcap(c=2.0), Mine("softcap", c=2), {"weigh": "softcap(2)"},
          {"weigh": saccade.weigh.Softcap(2), "layers": "3-4"}, {"weigh": "softcap(2)", "layers": 3}]  # fmt: skip


@pytest.mark.parametrize("weigh", WEIGHS, ids=str)
def test_weigh_is_a_spec_an_object_or_a_row(make, weigh):
    q, k, v = make(1, 60, 4, 64), make(1, 60, 2, 64), make(1, 60, 2, 64)
    capped, plain = (saccade.attend(q, k, v, weigh=spec) for spec in ("softcap(2)", "softmax"))
    assert np.array_equal(saccade.attend(q, k, v, weigh=weigh, layer=3), capped) and not np.array_equal(capped, plain)
    assert np.array_equal(saccade.decode(q[:, -1], k, v, weigh=weigh, layer=3), saccade.decode(q[:, -1], k, v, weigh="softcap(2)"))
    assert np.array_equal(saccade.oracle.attend(q, k, v, weigh=weigh, layer=3)[0], saccade.oracle.attend(q, k, v, weigh="softcap(2)")[0])
    entropy = saccade.see(q, k, "entropy", weigh=weigh, layer=3)["entropy"]
    assert np.array_equal(entropy, saccade.see(q, k, "entropy", weigh="softcap(2)")["entropy"])
    elsewhere = saccade.attend(q, k, v, weigh=weigh, layer=7)
    assert np.array_equal(elsewhere, plain if isinstance(weigh, dict) and "layers" in weigh else capped)


@pytest.mark.parametrize("info", saccade.list("weigh"), ids=lambda info: info["name"])
def test_every_way_to_weigh_has_a_class_of_its_name(info):
    made = getattr(saccade.weigh, info["name"].capitalize())()
    assert str(made) == info["name"] and made == type(made)() and info["sentence"] in type(made).__doc__
    q = np.ones((1, 40, 2, 32), np.float32)
    assert np.array_equal(saccade.attend(q, q, q, weigh=made), saccade.attend(q, q, q, weigh=info["name"]))


def test_plans_print_and_compare():
    plan = saccade.Plan({"default": {"attn": "dense"}, "rows": [{"layers": "2-3", "attn": "window(8)"}]})
    assert saccade.Plan.from_json(str(plan)) == plan
    assert plan != saccade.Plan("dense")
    assert plan.with_precision("f32").precision == "f32"
    with pytest.raises(ValueError, match="names layer 3"):
        plan.check(3, 4)
