"""What the program says about itself: list, show, plugin and help."""

import json
import os
import unittest

from cli import Cli


class Lists(Cli):
    def test_list_names_every_mechanism_with_its_parameters(self):
        rows = json.loads(self.ok("list", "--json").stdout)
        names = [row["name"] for row in rows]
        self.assertLessEqual({"dense", "window", "sink", "none"}, set(names))
        for row in rows:
            self.assertEqual(list(row), ["word", "name", "params", "sentence", "source", "goes_by", "prefill", "decode",
                                         "exact_on_selection", "needle", "depends_on_batch"])
            self.assertEqual(row["needle"] is None, row["goes_by"] != "data", row)
            self.assertTrue(row["sentence"] and row["source"], row)
        window = rows[names.index("window")]
        self.assertEqual([(p["name"], p["default"]) for p in window["params"]], [("n", "1024")])
        plain = self.ok("list").stdout.decode()
        for name in [*names, "ggml", "ggml(fa=off)"]:
            self.assertIn(name, plain)

    def test_list_of_one_word(self):
        rows = json.loads(self.ok("list", "--word", "where", "--json").stdout)
        self.assertEqual({row["word"] for row in rows}, {"where"})
        self.assertIn('"where"', self.refused(2, "list", "--word", "wher"))

    def test_show(self):
        self.assertEqual(json.loads(self.ok("show", "sink", "--json").stdout)["name"], "sink")
        self.assertIn("default 1024", self.ok("show", "window").stdout.decode())
        shown = self.ok("show", "flexprefill").stdout.decode()
        for promise in ("in prompts; decode steps run dense", "depends on how a prompt is cut", "finds a key"):
            self.assertIn(promise, shown)
        self.assertIn("may miss", self.ok("show", "random").stdout.decode())
        plain = self.ok("list").stdout.decode()
        self.assertRegex(plain, r"flexprefill\(.* data: prefill ")
        self.assertRegex(plain, r"window\(.* positions ")
        self.assertRegex(plain, r"floor\(.* choices ")
        self.assertIn('"window"', self.refused(2, "show", "windw"))

    def test_plugin_prints_a_path_and_the_line_that_uses_it(self):
        path, line = self.ok("plugin").stdout.decode().splitlines()
        self.assertTrue(os.path.exists(path))
        self.assertEqual(line, f"GGML_BACKEND_PATH={path} LLAMA_ARG_OVERRIDE_TENSOR=none=CPU llama-server -m MODEL")

    def test_help_goes_to_stdout(self):
        self.assertIn("compare", self.ok("--help").stdout.decode())
        self.assertIn("--session", self.ok("run", "--help").stdout.decode())


if __name__ == "__main__":
    unittest.main()
