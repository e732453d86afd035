#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "saccade/see/block_sums.h"
#include "saccade/see/class_masses.h"
#include "saccade/see/peaks.h"
#include "saccade/see/rows.h"
#include "saccade/see/top_keys.h"
#include "tests/laws/see_laws.h"

// What each probe of saccade/see is defined to tell, as a function of a dense map of T = double or float; and how what
// it tells is read in the same groups. Used by the law of each probe and by that of all of them on recorded data.
namespace saccade::testing {

/// - sum weight ln(weight)
inline auto dense_entropy() {
  return []<class T>(const DenseMap<T>& map) {
    return per_row_groups<T>(map, std::log(static_cast<double>(map.kv_len) + 1), [](const auto& m, Pos head, Pos i) {
      T sum = 0;
      for (Pos j = 0; j < m.kv_len; ++j) {
        const T weight = m.at(head, i, j);
        if (weight > 0) sum -= weight * std::log(weight);
      }
      return std::vector<T>{sum};
    });
  };
}

/// Means of distances cut at `clip`.
inline auto dense_distance(Pos clip) {
  return [clip]<class T>(const DenseMap<T>& map) {
    const auto size = static_cast<double>(std::min(clip, map.q_pos(map.q_len)));
    return per_row_groups<T>(map, size, [clip](const auto& m, Pos head, Pos i) {
      T sum = 0;
      for (Pos j = 0; j < m.kv_len; ++j) sum += m.at(head, i, j) * static_cast<T>(std::min(m.q_pos(i) - j, clip));
      return std::vector<T>{sum};
    });
  };
}

inline auto dense_masses(const std::vector<see::ClassMasses::Span>& spans) {
  return [spans]<class T>(const DenseMap<T>& map) {
    return per_row_groups<T>(map, 1.0, [&](const auto& m, Pos head, Pos i) {
      std::vector<T> masses;
      for (const auto& span : spans) {
        T sum = 0;
        for (Pos j = span.keys.begin; j < std::min(span.keys.end, m.kv_len); ++j) sum += m.at(head, i, j);
        masses.push_back(sum);
      }
      return masses;
    });
  };
}

inline auto dense_diagonals(const std::vector<Pos>& offsets) {
  return [offsets]<class T>(const DenseMap<T>& map) {
    return per_row_groups<T>(map, 1.0, [&](const auto& m, Pos head, Pos i) {
      std::vector<T> weights;
      for (const Pos offset : offsets) {
        const Pos j = m.q_pos(i) - offset;
        weights.push_back(j >= 0 && j < m.kv_len ? m.at(head, i, j) : T{0});
      }
      return weights;
    });
  };
}

inline auto dense_largest() {
  return []<class T>(const DenseMap<T>& map) {
    return per_row_groups<T>(map, 1.0, [](const auto& m, Pos head, Pos i) {
      T largest = 0;
      for (Pos j = 0; j < m.kv_len; ++j) largest = std::max(largest, m.at(head, i, j));
      return std::vector<T>{largest};
    });
  };
}

/// exp(largest score - lse) is the row's largest weight.
inline Groups<float> largest_of(const see::Peaks& probe) {
  Groups<float> groups = groups_of(probe.largest());
  for (int head = 0; head < probe.lse().n_heads(); ++head) {
    std::vector<float>& values = groups[static_cast<std::size_t>(head)].values;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double lse = probe.lse().head(head)[i], largest = values[i];
      values[i] = static_cast<float>(std::isinf(largest) ? 0.0 : std::exp(largest - lse));
    }
  }
  return groups;
}

/// The largest of a row, largest first; zeros where it has fewer.
template <class T>
std::vector<T> largest_first(std::vector<T> row, Pos n) {
  const auto size = static_cast<std::size_t>(n);
  row.resize(std::max(row.size(), size), T{0});
  std::ranges::sort(row, std::greater<>());
  row.resize(size);
  return row;
}

/// The k largest weights of each head's rows.
inline auto dense_top(Pos k) {
  return [k]<class T>(const DenseMap<T>& map) {
    return per_row_groups<T>(map, 1.0, [k](const auto& m, Pos head, Pos i) {
      std::vector<T> row;
      for (Pos j = 0; j < m.kv_len; ++j) row.push_back(m.at(head, i, j));
      return largest_first(std::move(row), k);
    });
  };
}

/// The k largest sums over heads of each query's weights.
inline auto dense_top_of_all(Pos k) {
  return [k]<class T>(const DenseMap<T>& map) {
    Group<T> group{"all heads", {}, static_cast<double>(map.n_heads)};
    for (Pos i = 0; i < map.q_len; ++i) {
      std::vector<T> row(static_cast<std::size_t>(map.kv_len), T{0});
      for (Pos head = 0; head < map.n_heads; ++head) {
        for (Pos j = 0; j < map.kv_len; ++j) row[static_cast<std::size_t>(j)] += map.at(head, i, j);
      }
      for (const T weight : largest_first(std::move(row), k)) group.values.push_back(weight);
    }
    return Groups<T>{group};
  };
}

/// The weights of lists of keys, `row(n, q_position)`, in the lists' own order: a group for each n.
inline Groups<float> listed_weights(const oracle::Inputs& in, Pos n_groups, const auto& row) {
  Groups<float> groups;
  for (Pos n = 0; n < n_groups; ++n) {
    Group<float> group{"head " + std::to_string(n), {}};
    for (Pos i = 0; i < in.q_len; ++i) {
      for (const see::TopKeys::Key& key : row(static_cast<int>(n), in.q_begin + i)) group.values.push_back(key.weight);
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

inline Groups<float> weights_by_head(const see::TopKeys& probe, const oracle::Inputs& in) {
  return listed_weights(in, in.n_heads, [&](int head, Pos q) { return probe.row(head, q); });
}

inline Groups<float> weights_of_all(const see::TopKeys& probe, const oracle::Inputs& in) {
  return listed_weights(in, 1, [&](int, Pos q) { return probe.row(q); });
}

/// The dense map's weights at the keys that the probe lists, head by head: what it lists them with.
inline auto dense_at_listed(const see::TopKeys& probe) {
  return [&probe]<class T>(const DenseMap<T>& map) {
    return per_row_groups<T>(map, 1.0, [&](const auto& m, Pos head, Pos i) {
      std::vector<T> weights;
      for (const see::TopKeys::Key& key : probe.row(static_cast<int>(head), m.q_pos(i))) {
        weights.push_back(key.position < 0 ? T{0} : m.at(head, i, key.position));
      }
      return weights;
    });
  };
}

inline auto dense_columns() {
  return []<class T>(const DenseMap<T>& map) {
    return per_key_groups<T>(map, [](const auto& m, Pos head, Pos i, Pos j) { return m.at(head, i, j); });
  };
}

inline auto dense_squares() {
  return []<class T>(const DenseMap<T>& map) {
    return per_key_groups<T>(map,
                             [](const auto& m, Pos head, Pos i, Pos j) { return m.at(head, i, j) * m.at(head, i, j); });
  };
}

inline auto dense_band(Range band) {
  return [band]<class T>(const DenseMap<T>& map) {
    return per_key_groups<T>(map, [band](const auto& m, Pos head, Pos i, Pos j) {
      const Pos distance = m.q_pos(i) - j;
      return distance >= band.begin && distance < band.end ? m.at(head, i, j) : T{0};
    });
  };
}

/// `fold(block, weight)` over the pairs of each block of a text that may end before the keys do.
inline auto dense_blocks(Pos n, Pos text_len, auto fold) {
  return [=]<class T>(const DenseMap<T>& map) {
    Groups<T> groups;
    for (Pos head = 0; head < map.n_heads; ++head) {
      Group<T> group{"head " + std::to_string(head), std::vector<T>(static_cast<std::size_t>(n * n), T{0})};
      for (Pos i = 0; i < map.q_len; ++i) {
        for (Pos j = 0; j < map.kv_len; ++j) {
          if (map.q_pos(i) >= text_len || j >= text_len) continue;
          const Pos at = map.q_pos(i) * n / text_len * n + j * n / text_len;
          fold(group.values[static_cast<std::size_t>(at)], map.at(head, i, j));
        }
      }
      for (const T value : group.values) group.size = std::max(group.size, static_cast<double>(value));
      groups.push_back(std::move(group));
    }
    return groups;
  };
}

inline auto dense_block_sums(Pos n, Pos text_len) {
  return dense_blocks(n, text_len, [](auto& block, auto weight) { block += weight; });
}

inline auto dense_block_maxima(Pos n, Pos text_len) {
  return dense_blocks(n, text_len, [](auto& block, auto weight) { block = std::max(block, weight); });
}

/// `of_head(head)` of each head.
inline Groups<float> blocks_by_head(Pos n_heads, const auto& of_head) {
  Groups<float> groups;
  for (int head = 0; head < n_heads; ++head) {
    const std::span<const float> values = of_head(head);
    groups.push_back({"head " + std::to_string(head), {values.begin(), values.end()}});
  }
  return groups;
}

/// The rows of every third position.
inline auto dense_rows() {
  return []<class T>(const DenseMap<T>& map) {
    return per_row_groups<T>(map, 1.0, [](const auto& m, Pos head, Pos i) {
      std::vector<T> row;
      for (Pos j = 0; j < m.kv_len && m.q_pos(i) % 3 == 0; ++j) row.push_back(m.at(head, i, j));
      return row;
    });
  };
}

inline Groups<float> rows_by_head(const see::Rows& probe, const oracle::Inputs& in) {
  Groups<float> groups;
  for (int head = 0; head < in.n_heads; ++head) {
    Group<float> group{"head " + std::to_string(head), {}};
    for (Pos i = 0; i < in.q_len; ++i) {
      const auto row = probe.row(head, in.q_begin + i);
      group.values.insert(group.values.end(), row.begin(), row.end());
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

/// Norms of each head's outputs, `row(query, head)` being those of the definition; their size is the longest value.
template <class T>
Groups<T> dense_norms(const oracle::Inputs& in, const auto& row) {
  Groups<T> groups;
  for (Pos head = 0; head < in.n_heads; ++head) {
    Group<T> group{"head " + std::to_string(head), {}, 0.0};
    for (Pos i = 0; i < in.q_len; ++i) {
      T squares = 0;
      for (const auto o : row(i, head)) squares += static_cast<T>(o) * static_cast<T>(o);
      group.values.push_back(std::sqrt(squares));
    }
    for (Pos j = 0; j < in.kv_len; ++j) {
      double squares = 0.0;
      for (Pos n = 0; n < in.v_dim(); ++n) squares += double{in.v_row(j, head)[n]} * double{in.v_row(j, head)[n]};
      group.size = std::max(group.size, std::sqrt(squares));
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace saccade::testing
