#include "store/shared_table.h"

#include <algorithm>

#include "base/text.h"
#include "protocol/resp/command.h"
#include "protocol/resp/error_reply.h"

namespace weir::store {
namespace {

namespace resp = protocol::resp;
using Kind = resp::Reply::Kind;

// What stands before a value in the store.
constexpr std::string_view kMakesRoom = "-";
constexpr std::string_view kStays = "=";

void append_operation(std::string& out, std::string_view prefix, SharedTable table, std::string_view operation,
                      std::size_t arguments) {
    constexpr std::string_view kParts[] = {"values", "ends", "changes", "version"};
    const std::string_view tag = table == SharedTable::kBlocks ? ":{blocks}:" : ":{overrides}:";
    shared_table_script().append_call(out, std::size(kParts), 1 + arguments);
    for (const std::string_view part : kParts) resp::append_joined_argument(out, {prefix, tag, part});
    resp::append_argument(out, operation);
}

std::string_view bounded(std::string_view text) {
    return text.substr(0, kSharedTextBytesMax);
}

bool read_entry(const resp::Reply* fields, SharedEntry& entry) {
    if (fields[0].kind != Kind::kBulk || fields[1].kind != Kind::kInteger || fields[2].kind != Kind::kBulk)
        return false;
    entry.name = fields[0].text;
    if (fields[1].integer < 0) return false;
    entry.for_time = std::chrono::milliseconds(fields[1].integer);
    const std::string_view value = fields[2].text;
    if (fields[1].integer == 0) return value.empty();
    if (!value.starts_with(kMakesRoom) && !value.starts_with(kStays)) return false;
    entry.makes_room = value.starts_with(kMakesRoom);
    entry.value = value.substr(1);
    return true;
}

}  // namespace

const Script& shared_table_script() {
    static const Script kScript("shared_table_script");
    return kScript;
}

void append_put(std::string& out, std::string_view prefix, SharedTable table, const SharedEntry& entry) {
    append_operation(out, prefix, table, "put", 4);
    resp::append_argument(out, bounded(entry.name));
    resp::append_joined_argument(out, {entry.makes_room ? kMakesRoom : kStays, bounded(entry.value)});
    const auto time = std::clamp(entry.for_time, std::chrono::milliseconds(1), kSharedEntryTimeMax);
    resp::append_argument(out, static_cast<std::uint64_t>(time.count()));
    resp::append_argument(out, std::uint64_t{kSharedEntriesMax});
}

void append_remove(std::string& out, std::string_view prefix, SharedTable table, std::string_view name) {
    append_operation(out, prefix, table, "remove", 1);
    resp::append_argument(out, bounded(name));
}

void append_changes(std::string& out, std::string_view prefix, SharedTable table, TableVersion known,
                    std::size_t most) {
    append_operation(out, prefix, table, "changes", 3);
    resp::append_argument(out, known.birth);
    resp::append_argument(out, known.version);
    resp::append_argument(out, std::uint64_t{std::clamp<std::size_t>(most, 1, kSharedEntriesMax)});
}

Result<bool> read_changed(const resp::Reply& reply) {
    if (reply.kind == Kind::kError) return resp::error_of(resp::classify_error(reply.text));
    if (reply.kind != Kind::kInteger || (reply.integer != 0 && reply.integer != 1)) return kNoReplyOfScript;
    return reply.integer == 1;
}

Result<SharedChanges> read_changes(const resp::Reply& reply) {
    if (reply.kind == Kind::kError) return resp::error_of(resp::classify_error(reply.text));
    const auto& fields = reply.elements;
    if (reply.kind != Kind::kArray || fields.size() < 4 || (fields.size() - 4) % 3 != 0) return kNoReplyOfScript;
    const auto birth = parse_decimal(fields[0].text);
    const auto version = parse_decimal(fields[1].text);
    if (!birth || !version || fields[2].kind != Kind::kInteger || fields[3].kind != Kind::kInteger)
        return kNoReplyOfScript;
    SharedChanges changes;
    changes.version = {*birth, *version};
    changes.anew = fields[2].integer != 0;
    changes.more = fields[3].integer != 0;
    changes.entries.resize((fields.size() - 4) / 3);
    for (std::size_t i = 0; i < changes.entries.size(); ++i) {
        if (!read_entry(&fields[4 + 3 * i], changes.entries[i])) return kNoReplyOfScript;
    }
    return changes;
}

std::string override_name(std::string_view subject, std::string_view limit) {
    return std::string(limit).append(" ").append(subject);
}

OverrideName parse_override_name(std::string_view name) {
    const std::size_t space = name.find(' ');
    if (space == 0 || space == std::string_view::npos || space + 1 == name.size()) return {};
    return {name.substr(space + 1), name.substr(0, space)};
}

}  // namespace weir::store
