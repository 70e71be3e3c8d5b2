#include "net/send_queue.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <utility>

#include "net/socket.h"

namespace weir::net {

void SendQueue::push(Slice bytes) {
    if (bytes.empty()) return;
    bytes_ += bytes.size();
    slices_.push_back(std::move(bytes));
}

std::size_t SendQueue::fill(std::span<iovec> to) const {
    const std::size_t count = std::min(to.size(), slices());
    for (std::size_t i = 0; i < count; ++i) {
        const Slice& slice = slices_[head_ + i];
        to[i] = {slice.data(), slice.size()};
    }
    return count;
}

void SendQueue::consume(std::size_t n) {
    WEIR_ASSERT(n <= bytes_);
    bytes_ -= n;
    while (n > 0) {
        Slice& slice = slices_[head_];
        const std::size_t taken = std::min(n, slice.size());
        n -= taken;
        if (taken < slice.size()) {
            slice.remove_prefix(taken);
            settled_ = std::min(settled_, head_);  // what is left may now be small
        } else {
            slice = Slice{};
            ++head_;
        }
    }
    drop_consumed();
}

SendQueue::Written SendQueue::write_to(int fd) {
    constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
    while (!empty()) {
        std::array<iovec, kVectorMax> vector;
        msghdr message{};
        message.msg_iov = vector.data();
        message.msg_iovlen = fill(vector);
        std::size_t asked = 0;
        for (std::size_t i = 0; i < message.msg_iovlen; ++i) asked += vector[i].iov_len;
        const ssize_t sent = message.msg_iovlen == 1 ? send_bytes(fd, vector[0].iov_base, asked, kFlags)
                                                     : ::sendmsg(fd, &message, kFlags);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return errno == EAGAIN ? Written{0, true} : Written{errno, false};
        consume(static_cast<std::size_t>(sent));
        // A short write found no room: asking again would only tell so.
        if (static_cast<std::size_t>(sent) < asked) return {0, true};
    }
    return {};
}

Slice SendQueue::pop() {
    WEIR_ASSERT(bytes_ > 0);
    Slice slice = std::move(slices_[head_]);
    bytes_ -= slice.size();
    ++head_;
    drop_consumed();
    return slice;
}

void SendQueue::drop_consumed() {
    if (head_ == slices_.size()) {
        slices_.clear();
        head_ = settled_ = 0;
    } else if (head_ >= 64 && head_ * 2 >= slices_.size()) {
        slices_.erase(slices_.begin(), slices_.begin() + static_cast<std::ptrdiff_t>(head_));
        settled_ -= std::min(settled_, head_);
        head_ = 0;
    }
}

void SendQueue::settle(BlockPool& pool) {
    settled_ = std::max(settled_, head_);
    // The last settled slice may still be small enough to take what came after it.
    std::size_t to = settled_ > head_ && slices_[settled_ - 1].size() < kSmallBytes ? settled_ - 1 : settled_;
    for (std::size_t from = to; from < slices_.size();) {
        std::array<std::uint8_t, kSmallBytes> joined;
        std::size_t size = 0;
        std::size_t end = from;
        while (end < slices_.size() && slices_[end].size() <= joined.size() - size) {
            std::memcpy(joined.data() + size, slices_[end].data(), slices_[end].size());
            size += slices_[end].size();
            ++end;
        }
        if (end - from > 1) {
            slices_[to++] = pool.copy(std::span(joined.data(), size));
            from = end;
            continue;
        }
        Slice slice = std::move(slices_[from++]);
        const bool pooled = slice.block() != nullptr && slice.block()->capacity == kBlockBytes;
        const bool pins = pooled && (slice.size() * 4 <= kBlockBytes || pool.scarce());
        slices_[to++] = pins ? pool.copy(slice.bytes()) : std::move(slice);
    }
    slices_.resize(to);
    settled_ = to;
}

void SendQueue::clear() {
    slices_.clear();
    head_ = settled_ = bytes_ = 0;
    // One burst must not be remembered for ever.
    if (slices_.capacity() > 256) slices_.shrink_to_fit();
}

SendQueue* SendQueuePool::take() {
    if (resting_.empty()) return new SendQueue;
    SendQueue* queue = resting_.back();
    resting_.pop_back();
    return queue;
}

void SendQueuePool::put_back(SendQueue* queue) {
    queue->clear();
    if (resting_.size() < kResting) {
        resting_.push_back(queue);
    } else {
        delete queue;
    }
}

SendQueuePool::~SendQueuePool() {
    for (SendQueue* queue : resting_) delete queue;
}

}  // namespace weir::net
