#include "net/slice.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace weir::net {
namespace {

Block* allocate(BlockPool* pool, std::size_t capacity) {
    WEIR_ASSERT(capacity <= 0xFFFFFFFFU);
    void* memory = std::malloc(sizeof(Block) + capacity);
    WEIR_ASSERT(memory != nullptr);
    auto* block = new (memory) Block;
    block->pool = pool;
    block->capacity = static_cast<std::uint32_t>(capacity);
    return block;
}

}  // namespace

BlockPool::BlockPool(std::size_t blocks_max) : blocks_max_(blocks_max) {}

BlockPool::~BlockPool() {
    WEIR_ASSERT(out_ == 0);
    for (Block* block : free_) std::free(block);
}

Slice BlockPool::try_take() {
    if (full_out_ >= blocks_max_) return {};
    Block* block = nullptr;
    if (free_.empty()) {
        block = allocate(this, kBlockBytes);
    } else {
        block = free_.back();
        free_.pop_back();
    }
    ++full_out_;
    ++out_;
    bytes_out_ += kBlockBytes;
    return {block, 0, kBlockBytes};
}

Slice BlockPool::copy(std::span<const std::uint8_t> bytes) {
    // A whole block's size marks the pool's own blocks, so a copy never has it.
    const std::size_t capacity = bytes.size() == kBlockBytes ? kBlockBytes + 1 : bytes.size();
    Block* block = allocate(this, capacity);
    if (!bytes.empty()) std::memcpy(block->data(), bytes.data(), bytes.size());
    ++out_;
    bytes_out_ += capacity;
    return {block, 0, bytes.size()};
}

void BlockPool::put_back(Block* block) {
    --out_;
    bytes_out_ -= block->capacity;
    if (block->capacity == kBlockBytes) {
        --full_out_;
        free_.push_back(block);
        return;
    }
    std::free(block);
}

}  // namespace weir::net
