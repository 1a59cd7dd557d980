public import Transactions

/// Where the caller's own state is that outlives runs.
public enum OperatorState {
  public static var transactions: TransactionStore {
    TransactionRun.store(Caller(Vectors.environment))
  }
}
