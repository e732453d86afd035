// A matrix unit for machines that have none. A CPU without AMX traps each of its instructions (SIGILL); the handler
// here takes the bytes apart and does what the manual says, so that the very code that runs on AMX runs anywhere with
// AVX-512: its encodings, operands, addresses, and sessions. It ends the process at a tile instruction on a thread that
// has no configuration, and at tiles of another shape than 16 rows of 64 bytes.
//
// Linked in place of the library's find_matrix_unit, it says that there is a matrix unit. A real one traps as well, as
// long as nobody has asked Linux for its tiles; it takes configurations all the same, so that those are not seen here.

#include <gtest/gtest.h>

#include <atomic>

#include "hwy/highway.h"
#include "saccade/kernel/find_matrix_unit.h"

#if HWY_ARCH_X86 && defined(__linux__)

#include <cpuid.h>
#include <ucontext.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

// What follows may hold AVX-512 instructions; nothing traps before has_bf16() said yes.
HWY_PUSH_ATTRIBUTES("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#include "saccade/kernel/tile_units-inl.h"

namespace saccade::kernel {
namespace {

struct Tile {
  alignas(64) std::uint32_t words[kTileSide][kTileSide];
};

/// sum += left right. The emulation is held against the manual by tile_units_test.
[[gnu::noinline]] void multiply(Tile& sum, const Tile& left, const Tile& right) {
  alignas(64) float numbers[kTileSide][kTileSide];
  std::memcpy(numbers, sum.words, sizeof numbers);
  const OwnRounding rounding;
  Emulated<1, 1, 1> unit;
  unit.load_sum<0>(numbers[0], kTileSide * 4);
  unit.load_left(left.words[0]);
  unit.load_right(right.words[0], kTileSide * 4);
  unit.multiply<0>();
  unit.store_sum<0>(numbers[0], kTileSide * 4);
  std::memcpy(sum.words, numbers, sizeof numbers);
}

}  // namespace
}  // namespace saccade::kernel
HWY_POP_ATTRIBUTES

namespace saccade::kernel {

MatrixUnit find_matrix_unit() noexcept { return MatrixUnit::kUsed; }

namespace {

std::atomic<std::int64_t> g_n_products{0};
bool g_runs = false;  // the tests are not skipped

[[noreturn]] void stop(const char* why) {
  std::fprintf(stderr, "trapped_amx: %s\n", why);
  _exit(1);
}

bool has_amx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  static const bool found = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & 1U << 22) != 0;
  return found;
}

/// One thread's matrix unit.
struct Unit {
  std::uint8_t configuration[64];
  Tile tiles[8];

  Tile& tile(int i) {
    if (i > 7) stop("no such tile");
    if (has_amx()) return tiles[i];
    if (configuration[0] != 1) stop("a tile without a configuration");
    std::uint16_t row_bytes = 0;
    std::memcpy(&row_bytes, configuration + 16 + 2 * i, sizeof row_bytes);
    if (row_bytes != 64 || configuration[48 + i] != 16) stop("a tile that is not 16 rows of 64 bytes");
    return tiles[i];
  }

  void configure(const std::byte* from) {
    std::memcpy(configuration, from, sizeof configuration);
    std::memset(static_cast<void*>(tiles), 0, sizeof tiles);
    if (configuration[0] > 1) stop("no such palette");
    for (int i = 2; i < 64; ++i) {
      const bool reserved = i < 16 || (i >= 32 && i < 48) || i >= 56;
      if (reserved && configuration[i] != 0) stop("a configuration that the CPU would refuse");
    }
  }
};
thread_local Unit t_unit;

/// A VEX instruction of three-byte prefix, map 0F 38.
struct Instruction {
  int opcode, prefix, reg, rm, third, length;
  bool is_memory;
  std::byte* address;
  std::ptrdiff_t stride;  ///< the index register, scaled
};

std::uint64_t read_register(const ucontext_t& context, int i) {
  static constexpr int kPlaces[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return static_cast<std::uint64_t>(context.uc_mcontext.gregs[kPlaces[i]]);
}

Instruction decode(const ucontext_t& context) {
  const auto* const begin = reinterpret_cast<const std::uint8_t*>(context.uc_mcontext.gregs[REG_RIP]);
  const std::uint8_t* at = begin;
  if (at[0] != 0xC4 || (at[1] & 31) != 2 || (at[2] & 0x84) != 0) stop("an instruction that is not AMX");
  const auto extended = [&](int bit) { return (begin[1] >> bit & 1) == 0 ? 8 : 0; };
  Instruction found{};
  found.prefix = at[2] & 3, found.third = ~(at[2] >> 3) & 15, found.opcode = at[3];
  const int mode = at[4] >> 6, low = at[4] & 7;
  found.reg = (at[4] >> 3 & 7) + extended(7);
  found.rm = low + extended(5);
  found.is_memory = mode != 3;
  at += 5;
  if (found.is_memory) {
    int base = found.rm;
    if (low == 4) {
      base = (*at & 7) + extended(5);
      const int index = (*at >> 3 & 7) + extended(6), scale = *at >> 6;
      if (index != 4) found.stride = static_cast<std::ptrdiff_t>(read_register(context, index) << scale);
      ++at;
    }
    if (mode == 0 && (base & 7) == 5) stop("an address without a base");
    std::int32_t shift = mode == 1 ? static_cast<std::int8_t>(*at) : 0;
    if (mode == 2) std::memcpy(&shift, at, sizeof shift);
    at += mode == 1 ? 1 : mode == 2 ? 4 : 0;
    found.address = reinterpret_cast<std::byte*>(read_register(context, base)) + shift;
  }
  found.length = static_cast<int>(at - begin);
  return found;
}

void run(const Instruction& what) {
  enum Prefix { kNone, k66, kF3, kF2 };
  enum Opcode { kConfigure = 0x49, kMove = 0x4B, kMultiply = 0x5C };
  Unit& unit = t_unit;
  if (what.opcode == kConfigure && what.is_memory && what.prefix == kNone) return unit.configure(what.address);
  if (what.opcode == kConfigure && what.is_memory && what.prefix == k66) {
    std::memcpy(what.address, unit.configuration, sizeof unit.configuration);
  } else if (what.opcode == kConfigure && what.prefix == kNone) {  // TILERELEASE
    std::memset(static_cast<void*>(&unit), 0, sizeof unit);
  } else if (what.opcode == kConfigure && what.prefix == kF2) {  // TILEZERO
    unit.tile(what.reg) = {};
  } else if (what.opcode == kMove && what.is_memory && what.prefix != kNone) {  // TILELOADD, TILELOADDT1, TILESTORED
    for (int row = 0; row < kTileSide; ++row) {
      auto& words = unit.tile(what.reg).words[row];
      std::byte* memory = what.address + row * what.stride;
      what.prefix == kF3 ? std::memcpy(memory, words, sizeof words) : std::memcpy(words, memory, sizeof words);
    }
  } else if (what.opcode == kMultiply && !what.is_memory && what.prefix == kF3) {
    if (what.reg == what.rm || what.reg == what.third || what.rm == what.third) stop("one tile in two places");
    multiply(unit.tile(what.reg), unit.tile(what.rm), unit.tile(what.third));
    ++g_n_products;
  } else {
    stop("an instruction that is not known here");
  }
}

void handle(int, siginfo_t*, void* context) {
  auto& thread = *static_cast<ucontext_t*>(context);
  const Instruction what = decode(thread);
  run(what);
  thread.uc_mcontext.gregs[REG_RIP] += what.length;
}

class TrappedAmx : public ::testing::Environment {
 public:
  void SetUp() override {
    // What every CPU with AMX has, and our code beside it uses.
    if (!__builtin_cpu_supports("avx512vbmi") || !__builtin_cpu_supports("avx512bf16")) {
      GTEST_SKIP() << "this CPU has no AVX512_VBMI or no AVX512_BF16";
    }
    struct sigaction action = {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO;
    ASSERT_EQ(sigaction(SIGILL, &action, nullptr), 0);
    g_runs = has_bf16();
  }
  void TearDown() override {
    std::printf("%lld tile products were trapped\n", static_cast<long long>(g_n_products.load()));
    if (g_runs) EXPECT_GT(g_n_products, 0);
  }
};

const auto* const g_environment = ::testing::AddGlobalTestEnvironment(new TrappedAmx);

}  // namespace
}  // namespace saccade::kernel

#endif
