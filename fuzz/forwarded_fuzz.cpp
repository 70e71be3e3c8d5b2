// X-Forwarded-For and Forwarded: whatever a client puts in front, the entry that the nearest proxy appends is read, and
// it is the one that counts.
#include <cstdint>
#include <string>

#include "protocol/forwarded/forwarded.h"

using weir::IpAddress;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace forwarded = weir::protocol::forwarded;
    const std::string hostile(reinterpret_cast<const char*>(data), size);
    const auto nearest = IpAddress::parse("198.51.100.17");

    const auto check = [&](const auto& entries) {
        WEIR_ASSERT(entries.size() <= forwarded::kEntriesMax);
        for (std::size_t i = 0; i + 1 < entries.size(); ++i) WEIR_ASSERT(entries[i].has_value());
    };
    const std::string xff_appended = hostile + ", 198.51.100.17";
    const std::string_view xff_values[]{xff_appended};
    const auto xff = forwarded::x_forwarded_for(xff_values);
    check(xff);
    WEIR_ASSERT(xff.at(0) == nearest);

    const std::string forwarded_appended = hostile + ", for=\"198.51.100.17:80\";proto=https";
    const std::string_view forwarded_values[]{hostile, forwarded_appended};
    const auto entries = forwarded::forwarded_for(forwarded_values);
    check(entries);
    WEIR_ASSERT(entries.at(0) == nearest);
    return 0;
}
