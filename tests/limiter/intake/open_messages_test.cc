#include "limiter/intake/open_messages.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

void Arrive(OpenMessages* messages, absl::string_view id, absl::string_view sender) {
  messages->Open(id)->identity.sender = std::string(sender);
}

std::string Sender(OpenMessages* messages, absl::string_view id) {
  const ArrivedMessage* message = messages->Find(id);
  return message == nullptr ? "none" : message->identity.sender;
}

TEST(OpenMessages, FindsWhatIsOpen) {
  OpenMessages messages(10);
  Arrive(&messages, "1hIAif-00H7J4-Lb", "a@x");
  Arrive(&messages, "1wtMbN-00000004FD2-1H7i", "b@x");
  EXPECT_EQ(Sender(&messages, "1hIAif-00H7J4-Lb"), "a@x");
  EXPECT_EQ(Sender(&messages, "1wtMbN-00000004FD2-1H7i"), "b@x");
  EXPECT_EQ(Sender(&messages, "1wtMbN-00000004FD2-1H7j"), "none");
  messages.Close("1hIAif-00H7J4-Lb");
  messages.Close("1hIAif-00H7J4-Lb");
  EXPECT_EQ(Sender(&messages, "1hIAif-00H7J4-Lb"), "none");
  EXPECT_EQ(messages.size(), 1u);
}

TEST(OpenMessages, OldestArrivalIsForgottenFirst) {
  OpenMessages messages(3);
  for (absl::string_view id : {"a", "b", "c"}) Arrive(&messages, id, id);
  Arrive(&messages, "a", "again");  // a is the newest now
  Arrive(&messages, "d", "d");
  EXPECT_EQ(messages.evicted(), 1);
  EXPECT_EQ(Sender(&messages, "b"), "none");
  EXPECT_EQ(Sender(&messages, "a"), "again");
  messages.Close("c");
  Arrive(&messages, "e", "e");
  EXPECT_EQ(messages.evicted(), 1);
  Arrive(&messages, "f", "f");
  EXPECT_EQ(messages.evicted(), 2);
  EXPECT_EQ(Sender(&messages, "a"), "none");
  EXPECT_EQ(Sender(&messages, "f"), "f");
  EXPECT_EQ(messages.size(), 3u);
}

TEST(OpenMessages, ManyComeAndGo) {
  OpenMessages messages(100);
  for (int i = 0; i < 10000; ++i) {
    Arrive(&messages, absl::StrCat("id", i), absl::StrCat(i));
    if (i % 3 == 0) messages.Close(absl::StrCat("id", i - 1));
    EXPECT_EQ(Sender(&messages, absl::StrCat("id", i)), absl::StrCat(i));
  }
  EXPECT_EQ(messages.size(), 99u);  // the last step closed one
}

TEST(OpenMessages, CapacityOfOne) {
  OpenMessages messages(0);
  Arrive(&messages, "a", "a");
  Arrive(&messages, "b", "b");
  EXPECT_EQ(Sender(&messages, "a"), "none");
  EXPECT_EQ(Sender(&messages, "b"), "b");
}

}  // namespace
}  // namespace deferd
