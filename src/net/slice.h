// Bytes in flight. A Block is a pooled piece of memory; a Slice is a counted view of a part of one. Received bytes come
// as a Slice, what is let through is sent on as sub-slices of it, and the block returns to its pool when the last of
// them is gone: no copy between receive and send, and a connection with nothing in flight owns no buffer.
//
//   Block:  [ header | kBlockBytes .......................................... ]
//   Slice:             ^data()  ......^data()+size()
//
// Counts are not atomic: a pool, its blocks and its slices belong to one worker's thread.
// A pool has a bound; `try_take` returns an empty slice at the bound, and the reactor then stops receiving.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/limits.h"

namespace weir::net {

class BlockPool;

struct Block {
    BlockPool* pool = nullptr;
    std::uint32_t references = 0;
    std::uint32_t capacity = 0;
    std::uint8_t* data() { return reinterpret_cast<std::uint8_t*>(this + 1); }
};

class Slice {
  public:
    Slice() = default;
    // Takes part in the block's count.
    Slice(Block* block, std::size_t offset, std::size_t size)
        : block_(block), data_(block->data() + offset), size_(size) {
        WEIR_ASSERT(offset + size <= block->capacity);
        ++block_->references;
    }
    // Static bytes: no block, live for ever.
    [[nodiscard]] static Slice of_static(std::string_view text) {
        Slice slice;
        slice.data_ = reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
        slice.size_ = text.size();
        return slice;
    }
    Slice(const Slice& other) : block_(other.block_), data_(other.data_), size_(other.size_) {
        if (block_ != nullptr) ++block_->references;
    }
    Slice(Slice&& other) noexcept : block_(other.block_), data_(other.data_), size_(other.size_) { other.forget(); }
    Slice& operator=(Slice other) noexcept {
        std::swap(block_, other.block_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Slice() { release(); }

    [[nodiscard]] std::uint8_t* data() const { return data_; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] std::span<std::uint8_t> bytes() const { return {data_, size_}; }
    [[nodiscard]] std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
    [[nodiscard]] Block* block() const { return block_; }

    // A view of [offset, offset + size), counted for itself.
    [[nodiscard]] Slice sub(std::size_t offset, std::size_t size) const {
        WEIR_ASSERT(offset + size <= size_);
        Slice part(*this);
        part.data_ += offset;
        part.size_ = size;
        return part;
    }
    void remove_prefix(std::size_t n) {
        WEIR_ASSERT(n <= size_);
        data_ += n;
        size_ -= n;
    }
    void shrink(std::size_t size) {
        WEIR_ASSERT(size <= size_);
        size_ = size;
    }

  private:
    void forget() {
        block_ = nullptr;
        data_ = nullptr;
        size_ = 0;
    }
    void release();

    Block* block_ = nullptr;
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

class BlockPool {
  public:
    // `blocks_max` blocks of kBlockBytes; what small copies take (`copy`) counts by its size.
    explicit BlockPool(std::size_t blocks_max);
    ~BlockPool();  // every slice must be gone
    BlockPool(const BlockPool&) = delete;
    BlockPool& operator=(const BlockPool&) = delete;

    // A whole block of kBlockBytes, or an empty slice when the bound is reached.
    [[nodiscard]] Slice try_take();
    // A block of its own size that holds `bytes`: for what must wait, so that a few bytes do not pin a whole block, and
    // for answers of our own. Never refused: its callers are bounded by their queues.
    [[nodiscard]] Slice copy(std::span<const std::uint8_t> bytes);
    [[nodiscard]] Slice copy(std::string_view text) {
        return copy(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
    }

    [[nodiscard]] bool at_bound() const { return full_out_ >= blocks_max_; }
    // More than half is out. What waits for a slow peer is then copied out of its block, so that peers which never read
    // can't take the blocks that the others receive into; each of them is bounded by its queue.
    [[nodiscard]] bool scarce() const { return full_out_ > blocks_max_ / 2; }
    // Taken and not returned, copies too; without those that the reactor keeps ready for the kernel.
    [[nodiscard]] std::size_t blocks_out() const { return out_ - parked_; }
    [[nodiscard]] std::size_t bytes_out() const { return bytes_out_ - parked_ * kBlockBytes; }
    // A whole block that was taken waits for bytes, or no longer. It counts towards the bound all the same.
    void note_parked() { ++parked_; }
    void note_unparked() { --parked_; }

  private:
    friend class Slice;
    void put_back(Block* block);

    std::vector<Block*> free_;
    std::size_t blocks_max_;
    std::size_t full_out_ = 0;
    std::size_t out_ = 0;
    std::size_t parked_ = 0;
    std::size_t bytes_out_ = 0;
};

inline void Slice::release() {
    if (block_ != nullptr && --block_->references == 0) block_->pool->put_back(block_);
    forget();
}

}  // namespace weir::net
