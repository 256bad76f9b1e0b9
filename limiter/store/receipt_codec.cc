#include "limiter/store/receipt_codec.h"

#include <utility>

#include "limiter/store/codec.h"

namespace deferd {

using namespace codec;  // NOLINT: what every codec is written in

namespace {

constexpr JsonLimits kSharedReceiptLimits = {
    .max_bytes = 1 << 20, .max_depth = 4, .max_values = 20'000};
constexpr size_t kMostSharedAttempts = 500;

Json RowsJson(const std::vector<LedgerRow>& rows) {
  Json list = Json::array();
  for (const LedgerRow& row : rows) {
    list.push_back({{"row", row.row},
                    {"time", Micros(row.time)},
                    {"node", row.node},
                    {"message_id", row.message_id},
                    {"arrival", Micros(row.arrival)},
                    {"subject", row.subject},
                    {"narrower", row.narrower},
                    {"sender", row.sender},
                    {"login", row.login},
                    {"user", row.user},
                    {"mail_subject", row.mail_subject},
                    {"recipient", row.recipient},
                    {"router", row.router},
                    {"transport", row.transport},
                    {"host", row.host},
                    {"host_ip", row.host_ip},
                    {"outcome", static_cast<int>(row.outcome)},
                    {"left_out", static_cast<int>(row.left_out)},
                    {"reply_class", row.reply_class},
                    {"reply", row.reply}});
    // A digest of rows without one is as it was before there were any.
    if (!row.original.empty()) list.back()["original"] = row.original;
  }
  return list;
}

std::vector<LedgerRow> RowsOf(const Json& json) {
  std::vector<LedgerRow> rows;
  for (const Json& one : json) {
    LedgerRow& row = rows.emplace_back();
    row.row = one.at("row").get<int64_t>();
    row.time = TimeAt(one, "time", absl::InfinitePast());
    row.arrival = TimeAt(one, "arrival", absl::InfinitePast());
    row.outcome = EnumOf<Outcome>(one.at("outcome"), kOutcomes);
    row.left_out = EnumOf<LeftOut>(one.at("left_out"), kLeftOutReasons);
    const std::pair<const char*, std::string*> kTexts[] = {
        {"node", &row.node},           {"message_id", &row.message_id},
        {"subject", &row.subject},     {"narrower", &row.narrower},
        {"sender", &row.sender},       {"login", &row.login},
        {"user", &row.user},           {"mail_subject", &row.mail_subject},
        {"recipient", &row.recipient}, {"router", &row.router},
        {"transport", &row.transport}, {"host", &row.host},
        {"host_ip", &row.host_ip},     {"reply_class", &row.reply_class},
        {"reply", &row.reply},         {"original", &row.original}};
    for (const auto& [name, field] : kTexts) *field = one.value(name, "");
  }
  return rows;
}

}  // namespace

std::string LedgerRowsText(const std::vector<LedgerRow>& rows) { return Bytes(RowsJson(rows)); }

absl::StatusOr<std::vector<LedgerRow>> ParseLedgerRows(absl::string_view text) {
  return Parse<std::vector<LedgerRow>>(text, "receipt",
                                       [](const Json& json) { return RowsOf(json); });
}

std::string ReceiptText(const Receipt& receipt) {
  return Bytes({{"rule", receipt.rule},
                {"min_bad", receipt.min_bad},
                {"percent_limit", receipt.percent_limit},
                {"window", absl::ToInt64Seconds(receipt.window)},
                {"policy_hash", receipt.policy_hash},
                {"counts", CountsJson(receipt.counts)},
                {"percent", receipt.percent},
                {"tripping_row", receipt.tripping_row},
                {"complete", receipt.complete},
                {"recounted", CountsJson(receipt.recounted)},
                {"total", receipt.total},
                {"digest", receipt.digest},
                {"sure", receipt.sure},
                {"measure", {std::string(receipt.measure.Name()), receipt.measure.classes.Names()}},
                {"min_recipients", receipt.min_recipients},
                {"rows", RowsJson(receipt.rows)}});
}

absl::StatusOr<Receipt> ParseReceipt(absl::string_view text) {
  return Parse<Receipt>(text, "receipt", [](const Json& json) {
    Receipt receipt;
    receipt.rule = json.at("rule").get<std::string>();
    receipt.min_bad = json.at("min_bad").get<int64_t>();
    receipt.percent_limit = json.at("percent_limit").get<int>();
    receipt.window = absl::Seconds(json.at("window").get<int64_t>());
    receipt.policy_hash = json.at("policy_hash").get<std::string>();
    receipt.counts = CountsOf(json.at("counts"));
    receipt.percent = json.at("percent").get<int>();
    receipt.tripping_row = json.at("tripping_row").get<int64_t>();
    receipt.complete = json.at("complete").get<bool>();
    receipt.recounted = CountsOf(json.at("recounted"));
    receipt.total = json.at("total").get<int64_t>();
    receipt.digest = json.at("digest").get<std::string>();
    receipt.sure = json.value("sure", false);
    if (json.value("rejected", false)) receipt.measure.what = Measure::What::kRejected;
    if (json.contains("measure")) {
      const Json& measure = json["measure"];
      receipt.measure = ParseMeasure(measure.at(0).get<std::string>(),
                                     measure.at(1).get<std::vector<std::string>>());
    }
    receipt.min_recipients = json.value("min_recipients", int64_t{0});
    receipt.rows = RowsOf(json.at("rows"));
    return receipt;
  });
}

std::string SharedReceiptText(const std::vector<LedgerRow>& rows) { return Line(RowsJson(rows)); }

absl::StatusOr<std::vector<LedgerRow>> ParseSharedReceipt(absl::string_view text) {
  return ParseShared<std::vector<LedgerRow>>(text, "receipt of another node", kSharedReceiptLimits,
                                             [](const Json& json) {
                                               if (json.size() > kMostSharedAttempts)
                                                 throw std::length_error("too many attempts");
                                               return RowsOf(json);
                                             });
}

}  // namespace deferd
