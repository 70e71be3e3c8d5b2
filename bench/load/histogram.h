// A histogram of latencies with 128 steps per power of two, so that every value is within 0.8 %. One thread.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace weir::bench {

class Histogram {
  public:
    void add(std::uint64_t ns) {
        ++counts_[index(ns)];
        ++total_;
        sum_ += double(ns);
        max_ = std::max(max_, ns);
    }
    void merge(const Histogram& h) {
        for (std::size_t i = 0; i < kCells; ++i) counts_[i] += h.counts_[i];
        total_ += h.total_;
        sum_ += h.sum_;
        max_ = std::max(max_, h.max_);
    }
    std::uint64_t total() const { return total_; }
    double max_us() const { return double(max_) / 1e3; }
    double mean_us() const { return total_ ? sum_ / double(total_) / 1e3 : 0; }
    double percentile_us(double p) const {
        if (!total_) return 0;
        const std::uint64_t rank =
            std::max<std::uint64_t>(1, std::uint64_t(std::min(double(total_), p / 100 * double(total_) + 0.5)));
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < kCells; ++i)
            if ((seen += counts_[i]) >= rank) return std::min(double(value(i)), double(max_)) / 1e3;
        return max_us();
    }

  private:
    static constexpr std::size_t kCells = 128 * 42;
    static std::size_t index(std::uint64_t v) {
        if (v < 128) return std::size_t(v);
        const unsigned shift = unsigned(std::bit_width(v)) - 8;
        return std::min<std::size_t>(kCells - 1, (std::size_t(shift) + 1) * 128 + std::size_t((v >> shift) & 127));
    }
    static std::uint64_t value(std::size_t i) {
        if (i < 128) return i;
        const std::size_t shift = i / 128 - 1;
        return ((128 + std::uint64_t(i % 128)) << shift) + (shift ? (1ull << shift) / 2 : 0);
    }
    std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(kCells);
    std::uint64_t total_ = 0, max_ = 0;
    double sum_ = 0;
};

}  // namespace weir::bench
