#include "exporter/api/token_book.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class TokenBookTest : public testing::Test {
 protected:
  TokenBookTest() {
    std::filesystem::remove(path_);
    Reopen();
  }
  void Reopen() {
    book_ = std::make_unique<TokenBook>(path_, [this] { ++changes_; });
    EXPECT_THAT(book_->problem(), IsOk());
  }
  absl::StatusOr<std::string> Add(absl::string_view name, TokenRole role = TokenRole::kViewer,
                                  const std::vector<std::string>& domains = {}) {
    return book_->Add(name, role, domains, now_, "alice");
  }
  std::string FileText() const {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  void WriteFileText(const std::string& text) const { std::ofstream(path_) << text; }

  int changes_ = 0;
  const std::string path_ = testing::TempDir() + "/tokens.json";
  const absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  std::unique_ptr<TokenBook> book_;
};

TEST_F(TokenBookTest, FindsWhatItAddedAlsoAfterARestart) {
  const std::string secret = *Add("help-desk", TokenRole::kSupport, {"Shop.Example."});
  EXPECT_THAT(secret, StartsWith("deferd_"));
  EXPECT_GE(secret.size(), 7u + 43u) << "256 bits in base 64";
  for (int i = 0; i < 2; ++i) {
    std::optional<Token> token = book_->Find(secret, now_);
    ASSERT_TRUE(token.has_value());
    EXPECT_EQ(token->name, "help-desk");
    EXPECT_EQ(token->role, TokenRole::kSupport);
    EXPECT_THAT(token->domains, ElementsAre("shop.example"));
    EXPECT_EQ(token->by, "alice");
    Reopen();
  }
  for (const std::string& other : {std::string(), secret.substr(1), secret + "x", secret + " ",
                                   std::string("help-desk"), book_->List()[0].hash}) {
    EXPECT_FALSE(book_->Find(other, now_).has_value()) << other;
  }
}

TEST_F(TokenBookTest, StoresNoSecretAndLetsNobodyElseRead) {
  const std::string secret = *Add("panel");
  EXPECT_THAT(FileText(), Not(HasSubstr(secret)));
  EXPECT_THAT(FileText(), Not(HasSubstr(secret.substr(7, 20))));
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(TokenBookTest, EverySecretIsNew) {
  std::set<std::string> secrets;
  for (int i = 0; i < 50; ++i) secrets.insert(*Add(absl::StrCat("t", i)));
  EXPECT_EQ(secrets.size(), 50u);
}

TEST_F(TokenBookTest, RevokesAtOnceAndForGood) {
  const std::string secret = *Add("panel");
  const std::string other = *Add("other");
  EXPECT_THAT(book_->Revoke("panel"), IsOk());
  EXPECT_FALSE(book_->Find(secret, now_).has_value());
  EXPECT_TRUE(book_->Find(other, now_).has_value());
  Reopen();
  EXPECT_FALSE(book_->Find(secret, now_).has_value());
  EXPECT_THAT(book_->Revoke("panel"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("panel")));
}

TEST_F(TokenBookTest, ATokenExpires) {
  const absl::Time end = now_ + absl::Hours(24 * 90);
  const Json added = *book_->Verb(
      {{"do", "add"}, {"name", "panel"}, {"role", "viewer"}, {"expires", "90d"}}, now_, "alice");
  const std::string secret = Field(added, "token");
  EXPECT_EQ(added["expires"], FormatUtc(end));
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(book_->Find(secret, end - absl::Seconds(1)).has_value());
    EXPECT_FALSE(book_->FindExpired(secret, end - absl::Seconds(1)).has_value());
    EXPECT_FALSE(book_->Find(secret, end).has_value());
    EXPECT_FALSE(book_->FindByHash(book_->List()[0].hash, end).has_value());
    ASSERT_TRUE(book_->FindExpired(secret, end).has_value());
    EXPECT_EQ(book_->FindExpired(secret, end)->name, "panel");
    Reopen();
  }
  const Json list = *book_->Verb({{"do", "list"}}, end, "root");
  EXPECT_EQ(list[0]["expires"], FormatUtc(end));
  EXPECT_EQ(list[0]["expired"], true);
  EXPECT_EQ((*book_->Verb({{"do", "list"}}, now_, "root"))[0]["expired"], false);
  // A damaged end is no token without an end.
  const std::string good = FileText(), text = FormatUtc(end);
  for (const char* other : {"soon", "", "infinite-future", "infinite-past"}) {
    std::string damaged = good;
    damaged.replace(damaged.find(text), text.size(), other);
    WriteFileText(damaged);
    EXPECT_THAT(book_->problem(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path_))) << other;
  }
}

TEST_F(TokenBookTest, AnEndIsADurationOrATimeToCome) {
  const auto end_of = [this](const std::string& expires) -> std::string {
    absl::StatusOr<Json> added = book_->Verb(
        {{"do", "add"}, {"name", "t"}, {"role", "viewer"}, {"expires", expires}}, now_, "alice");
    if (!added.ok()) return std::string(added.status().message());
    EXPECT_THAT(book_->Revoke("t"), IsOk());
    return At(*added, "expires").is_null() ? "never" : Field(*added, "expires");
  };
  EXPECT_EQ(end_of(""), "never");
  EXPECT_EQ(end_of("12h"), FormatUtc(now_ + absl::Hours(12)));
  EXPECT_EQ(end_of("2024-01-31"), "2024-01-31T00:00:00Z");
  EXPECT_THAT(end_of("2023-01-31"), HasSubstr("not in the future"));
  EXPECT_THAT(end_of("3d ago"), HasSubstr("not in the future"));
  EXPECT_THAT(end_of("soon"), HasSubstr("neither a duration nor a time"));
  EXPECT_THAT(end_of("999999999d"), HasSubstr("at most 10 years"));
}

TEST_F(TokenBookTest, RefusesNamesAndDomainsThatAreNone) {
  for (const char* name : {"", "Upper", "with space", "a\nb", "../x", "token:x",
                           "a23456789012345678901234567890123456789012345"}) {
    EXPECT_THAT(Add(name), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name"))) << name;
  }
  EXPECT_FALSE(Add("x", TokenRole::kViewer, {"not a domain"}).ok());
  EXPECT_THAT(Add("panel"), IsOk());
  EXPECT_THAT(Add("panel"), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("panel")));
}

TEST_F(TokenBookTest, DoesNotGuessWhatADamagedFileMeant) {
  const std::string secret = *Add("panel", TokenRole::kViewer, {"a.example"});
  const std::string good = FileText();
  std::string no_domains = good;
  no_domains.replace(no_domains.find("\"domains\""), 9, "\"dom_ins\"");
  std::string role = good;
  role.replace(role.find("viewer"), 6, "wiewer");
  std::string empty_domain = good;
  empty_domain.replace(empty_domain.find("\"a.example\""), 11, "\"\"");
  std::string twice = good;
  const size_t begin = twice.find('{', 1), end = twice.find('}');
  twice.insert(begin, absl::StrCat(twice.substr(begin, end - begin + 1), ","));
  for (const std::string& bad :
       {std::string("{"), std::string(), std::string("[]"), no_domains, role, empty_domain, twice,
        good.substr(0, good.size() / 2), std::string(100, '[')}) {
    WriteFileText(bad);
    for (const bool fresh : {false, true}) {
      std::unique_ptr<TokenBook> other = fresh ? std::make_unique<TokenBook>(path_) : nullptr;
      TokenBook& book = fresh ? *other : *book_;
      EXPECT_THAT(book.problem(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path_))) << bad;
      EXPECT_FALSE(book.Find(secret, now_).has_value()) << bad;
      EXPECT_THAT(book.Add("new", TokenRole::kAdmin, {}, now_, "alice"),
                  StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("left as it is")));
      EXPECT_FALSE(book.Revoke("panel").ok());
      EXPECT_FALSE(book.Verb({{"do", "list"}}, now_, "root").ok()) << "an empty list would lie";
    }
    EXPECT_EQ(FileText(), bad) << "what a person may still mend is not overwritten";
  }
  WriteFileText(good);
  EXPECT_THAT(book_->problem(), IsOk()) << "without a restart";
  EXPECT_TRUE(book_->Find(secret, now_).has_value());
}

TEST_F(TokenBookTest, AFileThatCannotBeReadIsReadWhenItCan) {
  const std::string secret = *Add("panel");
  std::filesystem::rename(path_, path_ + ".aside");
  std::filesystem::create_directory(path_);
  EXPECT_FALSE(book_->problem().ok());
  EXPECT_FALSE(book_->Find(secret, now_).has_value());
  EXPECT_FALSE(Add("new").ok());
  std::filesystem::remove(path_);
  EXPECT_THAT(book_->problem(), IsOk()) << "moved away: no tokens";
  EXPECT_TRUE(book_->List().empty());
  std::filesystem::rename(path_ + ".aside", path_);
  EXPECT_TRUE(book_->Find(secret, now_).has_value());
}

TEST_F(TokenBookTest, AFileThatSomebodyElseReplacedIsInForce) {
  const std::string secret = *Add("panel", TokenRole::kAdmin);
  const int64_t version = book_->version();
  const int changes = changes_;
  std::string text = FileText();
  text.replace(text.find("admin"), 5, "viewer");
  std::ofstream(path_ + ".edited") << text;
  std::filesystem::rename(path_ + ".edited", path_);
  EXPECT_EQ(book_->Find(secret, now_)->role, TokenRole::kViewer);
  EXPECT_GT(book_->version(), version);
  EXPECT_GT(changes_, changes);
  ASSERT_THAT(Add("second"), IsOk());
  EXPECT_THAT(FileText(), HasSubstr("viewer")) << "and is not undone by what comes after";
}

TEST_F(TokenBookTest, AFileThatCannotBeWrittenAddsNothing) {
  const std::string secret = *Add("panel");
  std::filesystem::create_directory(path_ + ".new");  // in the way of the temporary file
  EXPECT_FALSE(Add("second").ok());
  EXPECT_TRUE(book_->Find(secret, now_).has_value());
  EXPECT_EQ(book_->List().size(), 1u);
  std::filesystem::remove(path_ + ".new");
}

// A full disk must not keep a stolen token alive.
TEST_F(TokenBookTest, ARevocationHoldsAlsoIfItCannotBeWritten) {
  const std::string secret = *Add("panel"), other = *Add("other");
  std::filesystem::create_directory(path_ + ".new");
  EXPECT_THAT(book_->Revoke("panel"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("refused from now on")));
  EXPECT_FALSE(book_->Find(secret, now_).has_value());
  EXPECT_TRUE(book_->Find(other, now_).has_value());
  std::filesystem::remove(path_ + ".new");
  EXPECT_THAT(book_->Revoke("panel"), IsOk());
  Reopen();
  EXPECT_FALSE(book_->Find(secret, now_).has_value());
}

TEST_F(TokenBookTest, AScopeIsItsDomainsAndTheirLoginsAndNothingElse) {
  const Token token{.domains = {"a.example"}};
  for (const char* seen :
       {"a.example", "login:bob@a.example", "bob@a.example", "forward:a.example"}) {
    EXPECT_TRUE(token.Sees(*Subject::Parse(seen))) << seen;
  }
  for (const char* other :
       {"b.example", "sub.a.example", "a.example.evil.example", "login:a.example",
        "local:a.example", "login:bob@b.example", "local:web@a.example", "script:/home/x@a.example",
        "account:a.example"}) {
    EXPECT_FALSE(token.Sees(*Subject::Parse(other))) << other;
    EXPECT_TRUE(Token{}.Sees(*Subject::Parse(other))) << other;
  }
}

TEST_F(TokenBookTest, TheVerbAddsListsAndRevokes) {
  absl::StatusOr<Json> added = book_->Verb(
      {{"do", "add"}, {"name", "n1"}, {"role", "admin"}, {"domains", Json::array({"a.example"})}},
      now_, "root");
  ASSERT_THAT(added, IsOk());
  EXPECT_TRUE(book_->Find((*added)["token"].get<std::string>(), now_).has_value());
  absl::StatusOr<Json> list = book_->Verb({{"do", "list"}}, now_, "root");
  ASSERT_THAT(list, IsOk());
  EXPECT_EQ((*list)[0]["name"], "n1");
  EXPECT_THAT(Dump(*list), Not(HasSubstr(book_->List()[0].hash)));
  EXPECT_THAT(book_->Verb({{"do", "revoke"}, {"name", "n1"}}, now_, "root"), IsOk());
  for (const Json& bad :
       {Json::object(), Json{{"do", 7}}, Json{{"do", "add"}, {"name", 7}},
        Json{{"do", "add"}, {"name", "x"}, {"role", "root"}},
        Json{{"do", "add"}, {"name", "x"}, {"role", "viewer"}, {"domains", "a"}},
        Json{{"do", "add"}, {"name", "x"}, {"role", "admin"}, {"domains", Json::array({7})}}}) {
    EXPECT_THAT(book_->Verb(bad, now_, "root"),
                StatusIs(absl::StatusCode::kInvalidArgument, testing::_))
        << Dump(bad);
  }
  EXPECT_TRUE(book_->List().empty());
}

TEST_F(TokenBookTest, ADomainWithoutADotIsAMistake) {
  EXPECT_THAT(
      Add("reseller", TokenRole::kSupport, {"shop.example", "shop"}),
      StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("'shop' has no dot")));
  EXPECT_THAT(Add("literal", TokenRole::kSupport, {"[192.0.2.1]"}), IsOk());
}

}  // namespace
}  // namespace deferd
