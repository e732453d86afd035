#include "saccade/kernel/ahead.h"

#include <gtest/gtest.h>

namespace saccade::kernel {
namespace {

TEST(Ahead, CountsTheLinesThatRowsTouch) {
  alignas(64) static std::byte memory[4096];
  Ahead ahead;
  EXPECT_EQ(ahead.n_lines(), 0);
  ahead.add(memory, 0, 1, 1024);
  EXPECT_EQ(ahead.n_lines(), 16);
  ahead.add(memory + 2048, 256, 3, 128);  // rows on a line's edge touch two each
  EXPECT_EQ(ahead.n_lines(), 16 + 6);
  ahead.add(memory + 32, 256, 3, 128);  // others a third
  EXPECT_EQ(ahead.n_lines(), 16 + 6 + 9);
}

TEST(Ahead, AsksForEachLineOnce) {
  alignas(64) static std::byte memory[4096];
  Ahead ahead;
  ahead.add(memory, 1024, 2, 256);
  ahead.add(memory + 512, 1024, 2, 64);
  for (int left = 10; left > 0; --left) {
    EXPECT_EQ(ahead.n_lines(), left);
    ahead.fetch(1);
  }
  ahead.fetch(100);
  EXPECT_EQ(ahead.n_lines(), 0);
  ahead.clear();
  ahead.add(memory, 0, 1, 1);
  EXPECT_EQ(ahead.n_lines(), 1);
}

}  // namespace
}  // namespace saccade::kernel
