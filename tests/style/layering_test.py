"""The layering check sees what it is there to see."""

import pathlib
import tempfile
import unittest

import layering


class Layering(unittest.TestCase):
    def faults_of(self, path, include):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / path
            file.parent.mkdir(parents=True)
            file.write_text(f'#pragma once\n#include <vector>\n#include "{include}"\n', encoding="utf-8")
            return list(layering.faults(pathlib.Path(folder)))

    def test_downwards_is_allowed(self):
        self.assertEqual(self.faults_of("saccade/attend/attend.cc", "saccade/where/where.h"), [])
        self.assertEqual(self.faults_of("saccade/oracle/attention.h", "saccade/base/view.h"), [])
        self.assertEqual(self.faults_of("plugins/llama/a.cc", "saccade/plan/plan.h"), [])
        self.assertEqual(self.faults_of("capi/attend.cc", "saccade/plan/planned.h"), [])
        self.assertEqual(self.faults_of("saccade/where/where.h", "saccade/where/visit.h"), [])
        self.assertEqual(self.faults_of("apps/saccade/bench/law.cc", "saccade/oracle/attention.h"), [])

    def test_upwards_and_sideways_are_not(self):
        for path, include in [
            ("saccade/base/view.h", "saccade/kernel/visit.h"),
            ("saccade/where/where.h", "saccade/weigh/softmax.h"),
            ("saccade/where/where.h", "saccade/attend/attend.h"),
            ("saccade/oracle/attention.h", "saccade/weigh/softcap.h"),
            ("saccade/attend/attend.cc", "saccade/oracle/attention.h"),
            ("saccade/plan/plan.h", "plugins/llama/backend.h"),
            ("saccade/plan/plan.h", "capi/guard.h"),
            ("plugins/llama/plugin.cc", "capi/guard.h"),
            ("saccade/attend/attend.h", "tests/tolerance.h"),
        ]:
            self.assertEqual(len(self.faults_of(path, include)), 1, f"{path} includes {include}")

    def test_tests_may_include_anything(self):
        self.assertEqual(self.faults_of("saccade/base/base_test.cc", "saccade/attend/attend.h"), [])


if __name__ == "__main__":
    unittest.main()
