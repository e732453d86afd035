#include "python/src/mask_mod.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <string>

#include "python/src/bind.h"
#include "python/src/head_pattern.h"
#include "saccade/base/error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace saccade::python {
namespace {

using Seen = nb::ndarray<const bool, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

std::size_t place(const BlockMasks& masks, int sequence, int head) {
  const auto batch = static_cast<int>(masks.blocks.size()), heads = static_cast<int>(masks.blocks[0].size());
  if (sequence < 0 || sequence >= batch || head < 0 || head >= heads) {
    fail_user("mask_mod: there is no sequence " + std::to_string(sequence) + " with a head " + std::to_string(head));
  }
  return static_cast<std::size_t>(head);
}

/// What some rows see of some keys, both from here on.
void add(BlockMasks& masks, int sequence, int head, Pos row, Pos key, const Seen& seen) {
  const std::size_t at = place(masks, sequence, head);
  const auto n_rows = static_cast<Pos>(seen.shape(0)), n_keys = static_cast<Pos>(seen.shape(1));
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(seen.data());
  masks.blocks[static_cast<std::size_t>(sequence)][at]->add({row, row + n_rows}, {key, key + n_keys}, bytes, n_keys);
}

HeadPattern head_of(const BlockMasks& masks, int head, int sequence) {
  const std::size_t at = place(masks, sequence, head);
  const Patterns::Shape& shape = masks.shape(sequence);
  return {masks.of_sequence[static_cast<std::size_t>(sequence)][at], shape.q_positions(), shape.kv_len};
}

/// A number of each of the masks, added up.
std::int64_t sum(const BlockMasks& masks, const auto& number) {
  std::int64_t total = 0;
  for (const auto& heads : masks.blocks) {
    for (const auto& one : heads) total += static_cast<std::int64_t>(number(*one));
  }
  return total;
}

/// Of what is kept.
std::int64_t bytes(const BlockMasks& masks) {
  return sum(masks, [](const PairBlocks& one) {
    const auto n_blocks = static_cast<Pos>(one.n_full() + one.n_partial());
    return n_blocks * static_cast<Pos>(sizeof(PairBlocks::Block)) +
           static_cast<Pos>(one.n_partial()) * one.block() * one.block() / 8;
  });
}

std::string print(const BlockMasks& masks) {
  return "BlockMask(batch=" + std::to_string(masks.blocks.size()) +
         ", heads=" + std::to_string(masks.blocks[0].size()) + ", q_len=" + std::to_string(masks.shape(0).q_len) +
         ", kv_len=" + std::to_string(masks.shape(0).kv_len) +
         ", block=" + std::to_string(masks.blocks[0][0]->block()) + ")";
}

}  // namespace

BlockMasks::BlockMasks(Pos queries, Pos keys, Pos block, int batch, int heads) {
  if (batch < 1 || heads < 1) {
    fail_user("mask_mod: batch and heads must be >= 1, got " + std::to_string(batch) + " and " + std::to_string(heads));
  }
  const Pos q_begin = std::max<Pos>(0, keys - queries);
  shapes = {{queries, keys, q_begin}};
  blocks.resize(static_cast<std::size_t>(batch));
  for (auto& of_heads : blocks) {
    auto& patterns = of_sequence.emplace_back();
    for (int head = 0; head < heads; ++head) {
      of_heads.push_back(std::make_shared<PairBlocks>(queries, keys, block));
      patterns.push_back(std::make_shared<BlockMask>(of_heads.back(), q_begin));
    }
  }
}

void bind_mask_mod(nb::module_& m) {
  nb::class_<BlockMasks, Patterns>(m, "BlockMask",
                                   "Who sees whom, block by block: what `mask_mod` makes and `attend` takes as `attn`.")
      .def(nb::init<Pos, Pos, Pos, int, int>(), "q_len"_a, "kv_len"_a, "block"_a, "batch"_a, "heads"_a,
           "Nobody sees anything; `mask_mod` fills it.")
      .def("_add", &add)
      .def_prop_ro(
          "q_len", [](const BlockMasks& masks) { return masks.shape(0).q_len; }, "queries it was made for")
      .def_prop_ro(
          "kv_len", [](const BlockMasks& masks) { return masks.shape(0).kv_len; }, "keys it was made for")
      .def_prop_ro(
          "batch", [](const BlockMasks& masks) { return masks.blocks.size(); }, "sequences; 1: the same for all")
      .def_prop_ro(
          "heads", [](const BlockMasks& masks) { return masks.blocks[0].size(); }, "query heads; 1: the same for all")
      .def_prop_ro(
          "block", [](const BlockMasks& masks) { return masks.blocks[0][0]->block(); },
          "queries and keys that are absent, full or partial together")
      .def_prop_ro(
          "pairs", [](const BlockMasks& masks) { return sum(masks, [](const auto& one) { return one.pairs(); }); },
          "pairs of a query and a key that are seen, in all sequences and heads it keeps")
      .def_prop_ro(
          "n_full", [](const BlockMasks& masks) { return sum(masks, [](const auto& one) { return one.n_full(); }); },
          "blocks that are seen whole")
      .def_prop_ro(
          "n_partial",
          [](const BlockMasks& masks) { return sum(masks, [](const auto& one) { return one.n_partial(); }); },
          "blocks of which some pairs are seen")
      .def_prop_ro("nbytes", &bytes, "bytes it keeps")
      .def(
          "mask",
          [](const BlockMasks& masks, int head, int sequence) { return mask_array_of(head_of(masks, head, sequence)); },
          "head"_a = 0, "sequence"_a = 0, "bool [q_len, kv_len]: which query sees which key.")
      .def("__repr__", &print);
}

}  // namespace saccade::python
