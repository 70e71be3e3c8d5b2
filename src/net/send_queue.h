// What a socket still owes its peer: Slices in order, handed to sendmsg as one vector.
//
// A queue that waits for a slow reader must not pin whole blocks for a few bytes each, nor hold a Slice a byte:
// `settle` copies what is small against its block, and joins neighbours that are small. Each byte is copied a bounded
// number of times, and memory stays within a small factor of `bytes`.
//
// Invariant: bytes() is the sum of the sizes; no slice is empty. Not thread-safe.
#pragma once

#include <cstddef>
#include <span>
#include <sys/uio.h>
#include <vector>

#include "net/slice.h"

namespace weir::net {

class SendQueue {
  public:
    void push(Slice bytes);
    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    [[nodiscard]] bool empty() const { return bytes_ == 0; }
    [[nodiscard]] std::size_t slices() const { return slices_.size() - head_; }

    // Points `to` at the oldest slices; returns how many entries were filled.
    [[nodiscard]] std::size_t fill(std::span<iovec> to) const;
    // Forgets the oldest `n` bytes, n <= bytes().
    void consume(std::size_t n);
    struct Written {
        int number = 0;     // errno of a failure, else 0
        bool full = false;  // the socket has no room for the rest
    };
    // Hands all it can to a socket without waiting, a vector a system call.
    [[nodiscard]] Written write_to(int fd);
    // The oldest slice, taken out.
    [[nodiscard]] Slice pop();
    // Makes what is queued cheap to keep; what was settled is not looked at again.
    void settle(BlockPool& pool);
    void clear();

  private:
    // Slices below this are joined with their neighbours.
    static constexpr std::size_t kSmallBytes = 4096;
    static constexpr std::size_t kVectorMax = 64;
    void drop_consumed();

    std::vector<Slice> slices_;
    std::size_t head_ = 0;     // slices before it are gone
    std::size_t settled_ = 0;  // slices before it are cheap to keep
    std::size_t bytes_ = 0;
};

// Queues that rest between uses, so that a socket with nothing to send has none and one that sends allocates nothing.
class SendQueuePool {
  public:
    [[nodiscard]] SendQueue* take();
    void put_back(SendQueue* queue);  // empties it
    SendQueuePool() = default;
    ~SendQueuePool();
    SendQueuePool(const SendQueuePool&) = delete;
    SendQueuePool& operator=(const SendQueuePool&) = delete;

  private:
    static constexpr std::size_t kResting = 256;
    std::vector<SendQueue*> resting_;
};

}  // namespace weir::net
