#include "exporter/api/owner_link.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class OwnerLinkTest : public testing::Test {
 protected:
  OwnerLinkTest() {
    std::filesystem::remove(path_);
    links_ = Open();
  }
  std::unique_ptr<OwnerLinks> Open(const std::string& key_file = "") const {
    absl::StatusOr<std::unique_ptr<OwnerLinks>> links = OwnerLinks::Open(kBase, key_file, path_);
    EXPECT_THAT(links, IsOk());
    return links.ok() ? *std::move(links) : nullptr;
  }
  // What stands behind the path.
  std::string Link(absl::string_view case_id, const std::string& subject) const {
    const std::string link = links_->LinkTo(case_id, *Subject::Parse(subject), now_);
    EXPECT_THAT(link, StartsWith("https://mail.example.net/case/"));
    return std::string(absl::StripPrefix(link, "https://mail.example.net/case/"));
  }

  static constexpr char kBase[] = "https://mail.example.net";
  const std::string path_ = testing::TempDir() + "/owner-links.key";
  const absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  std::unique_ptr<OwnerLinks> links_;
};

TEST_F(OwnerLinkTest, ALinkOpensItsCaseUntilItExpires) {
  const std::string link = Link("web1-3-17", "login:bob@shop.example");
  for (int i = 0; i < 2; ++i) {
    const std::optional<OwnerLinks::Claim> claim = links_->Check(link, now_);
    ASSERT_TRUE(claim.has_value());
    EXPECT_EQ(claim->case_id, "web1-3-17");
    EXPECT_EQ(claim->subject.ToString(), "login:bob@shop.example");
    EXPECT_EQ(claim->expires, now_ + OwnerLinks::kLife);
    links_ = Open();  // after a restart too
  }
  EXPECT_TRUE(links_->Check(link, now_ + OwnerLinks::kLife - absl::Seconds(1)).has_value());
  EXPECT_FALSE(links_->Check(link, now_ + OwnerLinks::kLife).has_value());
}

TEST_F(OwnerLinkTest, EachByteCounts) {
  const std::string link = Link("web1-3-17", "shop.example");
  for (size_t i = 0; i < link.size(); ++i) {
    EXPECT_FALSE(links_->Check(link.substr(0, i), now_).has_value()) << i;
    EXPECT_FALSE(links_->Check(link.substr(i + 1), now_).has_value()) << i;
    for (const char other : {'A', 'B', '.', '-', '=', '\0', ' '}) {
      std::string changed = link;
      if (changed[i] == other) continue;
      changed[i] = other;
      EXPECT_FALSE(links_->Check(changed, now_).has_value()) << i << " " << other;
    }
  }
  for (const char* end : {"=", "A", ".", "\n"}) {
    EXPECT_FALSE(links_->Check(link + end, now_).has_value()) << end;
  }
  EXPECT_FALSE(links_->Check(std::string(1 << 20, 'A'), now_).has_value());
}

TEST_F(OwnerLinkTest, AClaimOfOneCaseIsNotSignedForAnother) {
  const std::string one = Link("web1-3-17", "shop.example"), other = Link("web1-3-18", "b.example");
  const auto claim = [](const std::string& link) { return link.substr(0, link.find('.')); };
  const auto mac = [](const std::string& link) { return link.substr(link.find('.')); };
  EXPECT_FALSE(links_->Check(claim(one) + mac(other), now_).has_value());
  EXPECT_FALSE(links_->Check(claim(one) + "." + links_->FormSecret(claim(one)), now_).has_value())
      << "what a form carries is no signature";
  std::string text;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(claim(one), &text));
  const std::string later =
      absl::WebSafeBase64Escape(absl::StrCat("1\n9999999999", text.substr(text.find('\n', 2))));
  EXPECT_FALSE(links_->Check(later + mac(one), now_).has_value());
}

TEST_F(OwnerLinkTest, ANewKeyRevokesAll) {
  const std::string link = Link("web1-3-17", "shop.example");
  ASSERT_THAT(links_->Revoke(), IsOk());
  EXPECT_FALSE(links_->Check(link, now_).has_value());
  EXPECT_TRUE(links_->Check(Link("web1-3-17", "shop.example"), now_).has_value());
  links_ = Open();
  EXPECT_FALSE(links_->Check(link, now_).has_value()) << "after a restart too";
}

TEST_F(OwnerLinkTest, TheKeyIsForDeferdAlone) {
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(info.st_size, 32);
  ASSERT_EQ(chmod(path_.c_str(), 0644), 0);
  EXPECT_THAT(OwnerLinks::Open(kBase, "", path_).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("others may read")));
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  std::ofstream(path_) << "short";
  EXPECT_THAT(OwnerLinks::Open(kBase, "", path_).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("32 to")));
}

TEST_F(OwnerLinkTest, TheOperatorsKeyIsTheOperators) {
  const std::string file = testing::TempDir() + "/operators.key";
  std::filesystem::remove(file);
  EXPECT_FALSE(OwnerLinks::Open(kBase, file, path_).ok()) << "deferd makes none there";
  std::ofstream(file) << std::string(32, 'k');
  ASSERT_EQ(chmod(file.c_str(), 0640), 0);
  links_ = Open(file);
  const std::string link = Link("web1-3-17", "shop.example");
  EXPECT_TRUE(Open(file)->Check(link, now_).has_value()) << "of another node";
  EXPECT_FALSE(Open()->Check(link, now_).has_value());
  EXPECT_THAT(links_->Revoke(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("owner_key")));
  EXPECT_TRUE(links_->Check(link, now_).has_value());
}

TEST_F(OwnerLinkTest, OnlyTenantsHaveAPage) {
  for (const char* name : {"script:/home/x@a.example", "account:a.example", "local:web@a.example",
                           "host:192.0.2.9", "login:bob", "*.a.example"}) {
    EXPECT_EQ(links_->LinkTo("web1-3-17", *Subject::Parse(name), now_), "") << name;
  }
  for (const char* name : {"a.example", "login:bob@a.example", "forward:a.example"}) {
    EXPECT_NE(links_->LinkTo("web1-3-17", *Subject::Parse(name), now_), "") << name;
  }
}

TEST_F(OwnerLinkTest, MailToTheBlockedSubjectIsNotOutside) {
  const auto outside = [](const char* address, const char* subject, bool named = false) {
    return OwnerLinks::IsOutside(address, *Subject::Parse(subject), named);
  };
  EXPECT_TRUE(outside("owner@else.example", "shop.example"));
  EXPECT_TRUE(outside("owner@notshop.example", "shop.example"));
  EXPECT_TRUE(outside("owner@else.example", "login:bob@shop.example"));
  for (const char* inside : {"postmaster@shop.example", "Owner@SHOP.Example", "x@shop.example.",
                             "owner@mail.shop.example", "owner@mail.shop.example."}) {
    for (const char* subject : {"shop.example", "forward:shop.example"}) {
      EXPECT_FALSE(outside(inside, subject)) << inside;
      EXPECT_FALSE(outside(inside, subject, /*named=*/true)) << inside << ": all of it is blocked";
    }
    EXPECT_FALSE(outside(inside, "login:bob@shop.example"))
        << inside << ": may be another name of bob's";
    EXPECT_TRUE(outside(inside, "login:bob@shop.example", /*named=*/true)) << inside;
  }
  for (const char* own : {"bob@shop.example", "Bob@shop.example", "bob+x@shop.example",
                          "bob@shop.example.", "\"bob\"@shop.example"}) {
    for (const char* login : {"login:bob@shop.example", "login:bob+news@Shop.Example"}) {
      EXPECT_FALSE(outside(own, login, /*named=*/true)) << own << " " << login;
    }
  }
  for (const char* none : {"", "nobody", "a@", "@"}) {
    EXPECT_FALSE(outside(none, "shop.example", /*named=*/true)) << none;
    EXPECT_FALSE(outside(none, "login:bob@shop.example", /*named=*/true)) << none;
  }
}

}  // namespace
}  // namespace deferd
