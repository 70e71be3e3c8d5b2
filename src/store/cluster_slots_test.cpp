#include "store/cluster_slots.h"

#include <gtest/gtest.h>

namespace weir::store {
namespace {

using protocol::resp::Reply;
using protocol::resp::ReplyReader;

Reply reply_of(std::string_view bytes) {
    ReplyReader reader;
    reader.feed(bytes);
    auto next = reader.next();
    EXPECT_TRUE(next && next->has_value());
    return std::move(**next);
}

TEST(ClusterSlots, CrcIsThatOfTheSpecification) {
    EXPECT_EQ(crc16("123456789"), 0x31C3);
    EXPECT_EQ(crc16(""), 0);
}

TEST(ClusterSlots, ASubjectsSlotIsThatOfItsKeysHashTag) {
    // CLUSTER KEYSLOT "rl:{user:42}:ws_message", asked of redis 7.0.
    EXPECT_EQ(slot_of_subject("user:42"), crc16("user:42") % 16384);
    EXPECT_EQ(slot_of_subject("user:a}b"), slot_of_subject("user:a"));
}

TEST(ClusterSlots, TheAnswerSaysWhoHasWhat) {
    const auto ranges =
        read_cluster_slots(reply_of("*3\r\n"
                                    "*4\r\n:0\r\n:5460\r\n*3\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\nid\r\n*3\r\n$"
                                    "9\r\n127.0.0.1\r\n:7003\r\n$2\r\nie\r\n"
                                    "*3\r\n:5461\r\n:5461\r\n*2\r\n$0\r\n\r\n:7001\r\n"
                                    "*3\r\n:5462\r\n:16383\r\n*2\r\n$-1\r\n:7002\r\n"));
    ASSERT_TRUE(ranges);
    EXPECT_EQ(*ranges,
              (std::vector<SlotRange>{{0, 5460, "127.0.0.1", 7000}, {5461, 5461, "", 7001}, {5462, 16383, "", 7002}}));
    EXPECT_TRUE(read_cluster_slots(reply_of("*0\r\n"))->empty());
}

TEST(ClusterSlots, AnAnswerThatIsNoneIsRefused) {
    for (const char* bytes :
         {"+OK\r\n", "*1\r\n:1\r\n", "*1\r\n*2\r\n:0\r\n:1\r\n", "*1\r\n*3\r\n:0\r\n:1\r\n:2\r\n",
          "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n", "*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
          "*1\r\n*3\r\n:-1\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n", "*1\r\n*3\r\n:0\r\n:4\r\n*2\r\n$1\r\na\r\n:65536\r\n",
          "*1\r\n*3\r\n:0\r\n:4\r\n*2\r\n:1\r\n:1\r\n"}) {
        EXPECT_FALSE(read_cluster_slots(reply_of(bytes))) << bytes;
    }
}

}  // namespace
}  // namespace weir::store
