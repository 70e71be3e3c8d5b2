// Replies of a hostile store: the same whole or split anywhere, within their bounds; error replies are told apart and
// redirections parsed; a command that is written reads back.
#include <cstdint>
#include <string_view>

#include "protocol/resp/command.h"
#include "protocol/resp/error_reply.h"
#include "protocol/resp/reply.h"

namespace {

namespace resp = weir::protocol::resp;

void check(const resp::Reply& reply, std::size_t depth) {
    WEIR_ASSERT(depth <= resp::kReplyDepthMax + 1);
    WEIR_ASSERT(reply.elements.empty() || reply.kind == resp::Reply::Kind::kArray);
    if (reply.kind == resp::Reply::Kind::kError) {
        WEIR_ASSERT(!resp::name_of(resp::classify_error(reply.text)).empty());
        if (const auto redirection = resp::parse_redirection(reply.text))
            WEIR_ASSERT(redirection->slot < resp::kSlots && redirection->port > 0);
    }
    for (const resp::Reply& element : reply.elements) check(element, depth + 1);
}

struct Outcome {
    std::vector<resp::Reply> replies;
    bool failed = false;
    friend bool operator==(const Outcome&, const Outcome&) = default;
};

void read(resp::ReplyReader& reader, Outcome& outcome) {
    while (true) {
        auto next = reader.next();
        outcome.failed = !next;
        if (!next || !*next) return;
        check(**next, 0);
        outcome.replies.push_back(std::move(**next));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
    const std::size_t split = (data[0] * 256U + data[1]) % (bytes.size() + 1);

    Outcome whole;
    resp::ReplyReader whole_reader;
    whole_reader.feed(bytes);
    read(whole_reader, whole);

    Outcome parts;
    resp::ReplyReader reader;
    reader.feed(bytes.substr(0, split));
    read(reader, parts);
    reader.feed(bytes.substr(split));
    read(reader, parts);
    WEIR_ASSERT(parts == whole);

    std::string command;
    resp::append_command(command, {bytes.substr(0, split), bytes.substr(split)});
    resp::ReplyReader command_reader;
    command_reader.feed(command);
    const auto read_back = command_reader.next();
    WEIR_ASSERT(read_back && *read_back && (*read_back)->elements.size() == 2);
    WEIR_ASSERT((*read_back)->elements[0].text == bytes.substr(0, split));
    WEIR_ASSERT((*read_back)->elements[1].text == bytes.substr(split));
    return 0;
}
