#include "protocol/resp/reply.h"

#include <hiredis/read.h>
#include <utility>

namespace weir::protocol::resp {
namespace {

constexpr Error kBroken{ErrorCode::kMalformed, ErrorSource::kStore, true, "the store's answer is no RESP2"};
constexpr Error kTooDeep{ErrorCode::kMalformed, ErrorSource::kStore, true,
                         "the store's answer has arrays nested too deeply"};
constexpr Error kTooLong{ErrorCode::kTooLarge, ErrorSource::kStore, true, "the store's answer is longer than 8 MiB"};
constexpr Error kTooMany{ErrorCode::kTooLarge, ErrorSource::kStore, true, "the store's answer has too many elements"};

// What the callbacks of hiredis build. An element is appended to its parent's vector. That may move its siblings, but
// hiredis holds pointers to the arrays that are still open only, and of those none is another's sibling.
struct Builder {
    Reply root;
    std::size_t elements = 0;

    Reply* add(const redisReadTask* task, Reply::Kind kind) {
        if (task->parent == nullptr) {
            root = Reply{};
            elements = 0;
            root.kind = kind;
            return &root;
        }
        // hiredis takes null for "no memory" and gives up; `failure` below knows better.
        if (++elements > kReplyElementsMax) return nullptr;
        auto* parent = static_cast<Reply*>(task->parent->obj);
        parent->elements.emplace_back().kind = kind;
        return &parent->elements.back();
    }
};

Builder& builder_of(const redisReadTask* task) {
    return *static_cast<Builder*>(task->privdata);
}

void* create_string(const redisReadTask* task, char* bytes, std::size_t size) {
    const Reply::Kind kind = task->type == REDIS_REPLY_STATUS  ? Reply::Kind::kStatus
                             : task->type == REDIS_REPLY_ERROR ? Reply::Kind::kError
                                                               : Reply::Kind::kBulk;
    Reply* reply = builder_of(task).add(task, kind);
    if (reply != nullptr) reply->text.assign(bytes, size);
    return reply;
}

void* create_array(const redisReadTask* task, int) {
    return builder_of(task).add(task, Reply::Kind::kArray);
}

void* create_integer(const redisReadTask* task, long long value) {
    Reply* reply = builder_of(task).add(task, Reply::Kind::kInteger);
    if (reply != nullptr) reply->integer = value;
    return reply;
}

void* create_nil(const redisReadTask* task) {
    return builder_of(task).add(task, Reply::Kind::kNil);
}

void free_object(void*) {}  // a Reply owns its elements

redisReplyObjectFunctions kFunctions{create_string, create_array, create_integer, create_nil, free_object};

struct ReaderDeleter {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
};

}  // namespace

struct ReplyReader::Impl {
    Impl() { restart(); }

    void restart() {
        reader.reset(redisReaderCreateWithFunctions(&kFunctions));
        WEIR_ASSERT(reader != nullptr);
        reader->privdata = &builder;
        builder = Builder{};
        fed = begin = 0;
        error.reset();
    }
    // How much of the stream has been read.
    [[nodiscard]] std::uint64_t position() const { return fed - (reader->len - reader->pos); }
    [[nodiscard]] Error failure() const {
        if (builder.elements > kReplyElementsMax) return kTooMany;
        // The stack of open arrays is full: the one reason of hiredis that is about depth.
        if (reader->ridx < 0 && std::string_view(reader->errstr).find("depth") != std::string_view::npos)
            return kTooDeep;
        return kBroken;
    }

    std::unique_ptr<redisReader, ReaderDeleter> reader;
    Builder builder;
    std::uint64_t fed = 0;    // bytes of the stream so far
    std::uint64_t begin = 0;  // where in it the current reply begins
    std::optional<Error> error;
};

ReplyReader::ReplyReader() : impl_(std::make_unique<Impl>()) {}
ReplyReader::~ReplyReader() = default;

void ReplyReader::reset() {
    impl_->restart();
}

void ReplyReader::feed(std::string_view bytes) {
    if (impl_->error || bytes.empty()) return;
    impl_->fed += bytes.size();
    redisReaderFeed(impl_->reader.get(), bytes.data(), bytes.size());
}

Result<std::optional<Reply>> ReplyReader::next() {
    Impl& impl = *impl_;
    if (impl.error) return *impl.error;
    void* whole = nullptr;
    if (redisReaderGetReply(impl.reader.get(), &whole) != REDIS_OK) {
        impl.error = impl.failure();
        return *impl.error;
    }
    const std::uint64_t end = whole != nullptr ? impl.position() : impl.fed;
    if (end - impl.begin > kReplyBytesMax) {
        impl.error = kTooLong;
        return *impl.error;
    }
    if (whole == nullptr) return std::optional<Reply>();
    impl.begin = end;
    return std::optional<Reply>(std::exchange(impl.builder.root, Reply{}));
}

}  // namespace weir::protocol::resp
