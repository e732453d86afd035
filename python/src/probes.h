#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <string>
#include <vector>

#include "saccade/plan/planned.h"

namespace saccade::python {

/// A probe by name, and what it is given beside its parameters, and those.
struct WantedProbe {
  std::string name;
  nanobind::dict given;
};

/// None: all that can be told; a spec; a dict of what each is given; or any number of specs. `has_v`: values can be
/// looked at. Errors: ValueError, one line.
std::vector<WantedProbe> read_probes(nanobind::handle probes, bool has_v);

/// One probe of any kind. It is told by the first pass if a row's own softmax knows what it asks, else by the second.
class Watch {
 public:
  virtual ~Watch() = default;
  virtual RowProbe* first_pass() { return nullptr; }
  virtual Probe* second_pass() { return nullptr; }
  virtual void read_into(int n_heads, nanobind::dict& out) const = 0;
};

/// How long a sequence is.
struct Text {
  Pos q_len, kv_len;
};

/// The probes of one sequence. Made and read with the GIL, told without.
class Watches {
 public:
  Watches(const std::vector<WantedProbe>& wanted, const Text& text);

  /// The call, which has an lse, tells them; it borrows from here.
  void join(PlannedCall& call);
  /// What they found, as arrays: without a dimension for the batch.
  nanobind::dict read(int n_heads) const;

 private:
  std::vector<std::unique_ptr<Watch>> all_;
  std::vector<RowProbe*> first_;
  std::vector<Probe*> second_;
};

/// What was found in all sequences: arrays with a dimension for the batch; or, where cu_seqlens cut them, a list.
nanobind::object read_all(const std::vector<Watches>& of_sequence, int n_heads, bool packed);

}  // namespace saccade::python
