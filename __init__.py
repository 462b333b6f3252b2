"""The event-sourced core of claude-tiu: commands in, events stored, read tables kept, all of it replayable."""

from .domain.agent import (
    AgentErrorReported,
    AgentRegistered,
    AgentWentOffline,
    ClaimNextTask,
    FinishTask,
    GoOffline,
    HeartbeatRecorded,
    RecordHeartbeat,
    RegisterAgent,
    ReleaseTask,
    ReportAgentError,
)
from .domain.agent_metrics import AgentMetricRecorded, RecordAgentMetric
from .domain.assignment import AssignmentClosed, AssignmentOpened
from .domain.claim_expiry import ExpireClaims
from .domain.dependency_graph import AddDependency, DependencyAdded, DependencyRemoved, RemoveDependency
from .domain.errors import (
    AlreadyExists,
    CommandIdReused,
    DependencyCycle,
    DuplicateDependency,
    EmptyWorkflow,
    Expired,
    Fault,
    InvalidCommand,
    LimitReached,
    NoOwner,
    NotAssigned,
    NotFound,
    NothingOverdue,
    NothingReady,
    NotUnique,
    OpenWork,
    OutsideProject,
    PrivateTemplate,
    Refused,
    StaleVersion,
    TiuError,
    UnmetDependencies,
    WrongStatus,
)
from .domain.messages import Command, Event
from .domain.parking import DiscardParkedEvents, ParkedEventsDiscarded
from .domain.project import (
    ArchiveProject,
    CompleteProject,
    CreateProject,
    FailProject,
    ProjectArchived,
    ProjectCompleted,
    ProjectCreated,
    ProjectFailed,
    ProjectReactivated,
    ProjectRestored,
    ReactivateProject,
    RestoreProject,
)
from .domain.project_file import (
    CreateFile,
    DeleteFile,
    FailFileValidation,
    FileCreated,
    FileDeleted,
    FileModified,
    FileRevived,
    FileValidated,
    FileValidationFailed,
    ModifyFile,
    ValidateFile,
)
from .domain.project_from_template import template_step_id, template_task_id, template_workflow_id
from .domain.project_metrics import MetricRecorded, RecordMetric
from .domain.registry import UndecodableEvent, parse_command
from .domain.retention import RetentionRan, RunRetention
from .domain.session import EndSession, SessionEnded, SessionStarted, StartSession
from .domain.task import (
    AddTask,
    BlockTask,
    ClaimProgress,
    CompleteTask,
    FailTask,
    ProgressClaimed,
    PutBackTask,
    ReopenTask,
    ResumeTask,
    RetryTask,
    StartTask,
    TaskAdded,
    TaskAssigned,
    TaskBlocked,
    TaskClaimExpired,
    TaskCompleted,
    TaskFailed,
    TaskPutBack,
    TaskReopened,
    TaskResumed,
    TaskRetried,
    TaskStarted,
    TaskUnblocked,
    UnblockTask,
)
from .domain.template import (
    CreateTemplate,
    PublishTemplate,
    TemplateCreated,
    TemplatePublished,
    TemplateUnpublished,
    UnpublishTemplate,
)
from .domain.user import (
    ChangeEmail,
    ChangePassword,
    ChangePreferences,
    ChangeRole,
    CreateUser,
    DeactivateUser,
    EmailChanged,
    ForgetUser,
    PasswordChanged,
    PreferencesChanged,
    ReactivateUser,
    RenameUser,
    RoleChanged,
    UserCreated,
    UserDeactivated,
    UserForgotten,
    UserReactivated,
    UserRenamed,
)
from .domain.validation_run import (
    AssessTask,
    BeginIssue,
    CompleteRun,
    FailRun,
    IgnoreIssue,
    IssueBegun,
    IssueIgnored,
    IssueReopened,
    IssueReported,
    IssueResolved,
    ReopenIssue,
    ReportIssue,
    ResolveIssue,
    RunCompleted,
    RunFailed,
    RunStarted,
    StartRun,
    TaskAssessed,
)
from .domain.workflow import (
    ActivateWorkflow,
    AddStep,
    ArchiveWorkflow,
    CreateWorkflow,
    StepAdded,
    WorkflowActivated,
    WorkflowArchived,
    WorkflowCreated,
)
from .domain.workflow_run import (
    CompleteStep,
    FailStep,
    FailWorkflowRun,
    StartStep,
    StartWorkflowRun,
    StepCompleted,
    StepFailed,
    StepStarted,
    WorkflowRunCompleted,
    WorkflowRunFailed,
    WorkflowRunStarted,
)
from .infrastructure.async_subscription import AsyncDelivery, AsyncSubscription
from .infrastructure.async_tiu import AsyncTiu, aconnect
from .infrastructure.audit.bundle.check import CheckReport, check_bundle
from .infrastructure.audit.bundle.export import ExportReport
from .infrastructure.audit.causation import CausationTree, Caused
from .infrastructure.audit.chain import ChainReport
from .infrastructure.audit.history import HistoryEntry
from .infrastructure.audit.seals import Inclusion, Seal, SealingKey, has_event
from .infrastructure.audit.verify import Drift, TableDrift, VerifyReport
from .infrastructure.audit.writers import Written
from .infrastructure.comparison import Difference, TableDifferences
from .infrastructure.consumers import SubscriptionStatus
from .infrastructure.decision import Answer
from .infrastructure.errors import (
    BadProjection,
    BadSeal,
    BadSettings,
    BundleUnreadable,
    CheckpointMoved,
    CheckpointRefused,
    ConnectionClosed,
    Contended,
    EventParked,
    ExportRefused,
    FileExists,
    InvalidQuery,
    InvalidSubscription,
    KeyMissing,
    LeaseLost,
    LogTampered,
    MigrationChanged,
    MigrationFailed,
    MissingExtra,
    NotMigrated,
    NotParked,
    NoWayBack,
    ProjectionFailed,
    RebuildRefused,
    SchemaTooNew,
    StatisticsUnavailable,
    StoreReplaced,
    StoreUnavailable,
    SubscriptionFailed,
    TablesBusy,
    TablesDiffer,
    TransactionRefused,
    UnknownMigration,
    WaitTimeout,
)
from .infrastructure.metrics import register_metrics
from .infrastructure.migrations import migrate_up
from .infrastructure.monitor import IndexUse, PoolUse, SlowStatement, TableSize
from .infrastructure.parking import ParkedUnit
from .infrastructure.queries import (
    AssignmentRow,
    CleanupRow,
    DashboardRow,
    IssueGroup,
    IssueRow,
    MetricRow,
    ProjectCounts,
    ProjectRow,
    ReadyTask,
    ReportRow,
    TaskRow,
)
from .infrastructure.read_side import ReadSide
from .infrastructure.rebuild import RebuildProgress, RebuildReport
from .infrastructure.retention import Dropped, RetentionReport
from .infrastructure.schemas import read_migrations
from .infrastructure.subscribing import Delivery, Subscription
from .infrastructure.tiu import Tiu, connect
from .infrastructure.tracing import register_tracing
from .projections.changes import Change

# fmt: off
__all__ = [
    "ActivateWorkflow", "AddDependency", "AddStep", "AddTask", "AgentErrorReported", "AgentMetricRecorded",
    "AgentRegistered", "AgentWentOffline", "AlreadyExists", "Answer", "ArchiveProject", "ArchiveWorkflow",
    "AssessTask", "AssignmentClosed", "AssignmentOpened", "AssignmentRow", "AsyncDelivery", "AsyncSubscription",
    "AsyncTiu", "BadProjection", "BadSeal", "BadSettings", "BeginIssue", "BlockTask", "BundleUnreadable",
    "CausationTree", "Caused", "ChainReport", "Change", "ChangeEmail", "ChangePassword", "ChangePreferences",
    "ChangeRole", "CheckReport", "CheckpointMoved", "CheckpointRefused", "ClaimNextTask", "ClaimProgress",
    "CleanupRow", "Command", "CommandIdReused", "CompleteProject", "CompleteRun", "CompleteStep", "CompleteTask",
    "ConnectionClosed", "Contended", "CreateFile", "CreateProject", "CreateTemplate", "CreateUser",
    "CreateWorkflow", "DashboardRow", "DeactivateUser", "DeleteFile", "Delivery", "DependencyAdded",
    "DependencyCycle", "DependencyRemoved", "Difference", "DiscardParkedEvents", "Drift", "Dropped",
    "DuplicateDependency", "EmailChanged", "EmptyWorkflow", "EndSession", "Event", "EventParked", "ExpireClaims",
    "Expired", "ExportRefused", "ExportReport", "FailFileValidation", "FailProject", "FailRun", "FailStep",
    "FailTask", "FailWorkflowRun", "Fault", "FileCreated", "FileDeleted", "FileExists", "FileModified",
    "FileRevived", "FileValidated", "FileValidationFailed", "FinishTask", "ForgetUser", "GoOffline",
    "HeartbeatRecorded", "HistoryEntry", "IgnoreIssue", "Inclusion", "IndexUse", "InvalidCommand", "InvalidQuery",
    "InvalidSubscription", "IssueBegun", "IssueGroup", "IssueIgnored", "IssueReopened", "IssueReported",
    "IssueResolved", "IssueRow", "KeyMissing", "LeaseLost", "LimitReached", "LogTampered", "MetricRecorded",
    "MetricRow", "MigrationChanged", "MigrationFailed", "MissingExtra", "ModifyFile", "NoOwner", "NoWayBack",
    "NotAssigned", "NotFound", "NotMigrated", "NotParked", "NotUnique", "NothingOverdue", "NothingReady",
    "OpenWork", "OutsideProject", "ParkedEventsDiscarded", "ParkedUnit", "PasswordChanged", "PoolUse",
    "PreferencesChanged", "PrivateTemplate", "ProgressClaimed", "ProjectArchived", "ProjectCompleted",
    "ProjectCounts", "ProjectCreated", "ProjectFailed", "ProjectReactivated", "ProjectRestored", "ProjectRow",
    "ProjectionFailed", "PublishTemplate", "PutBackTask", "ReactivateProject", "ReactivateUser", "ReadSide",
    "ReadyTask", "RebuildProgress", "RebuildRefused", "RebuildReport", "RecordAgentMetric", "RecordHeartbeat",
    "RecordMetric", "Refused", "RegisterAgent", "ReleaseTask", "RemoveDependency", "RenameUser", "ReopenIssue",
    "ReopenTask", "ReportAgentError", "ReportIssue", "ReportRow", "ResolveIssue", "RestoreProject", "ResumeTask",
    "RetentionRan", "RetentionReport", "RetryTask", "RoleChanged", "RunCompleted", "RunFailed", "RunRetention",
    "RunStarted", "SchemaTooNew", "Seal", "SealingKey", "SessionEnded", "SessionStarted", "SlowStatement",
    "StaleVersion", "StartRun", "StartSession", "StartStep", "StartTask", "StartWorkflowRun",
    "StatisticsUnavailable", "StepAdded", "StepCompleted", "StepFailed", "StepStarted", "StoreReplaced",
    "StoreUnavailable", "Subscription", "SubscriptionFailed", "SubscriptionStatus", "TableDifferences",
    "TableDrift", "TableSize", "TablesBusy", "TablesDiffer", "TaskAdded", "TaskAssessed", "TaskAssigned",
    "TaskBlocked", "TaskClaimExpired", "TaskCompleted", "TaskFailed", "TaskPutBack", "TaskReopened", "TaskResumed",
    "TaskRetried", "TaskRow", "TaskStarted", "TaskUnblocked", "TemplateCreated", "TemplatePublished",
    "TemplateUnpublished", "Tiu", "TiuError", "TransactionRefused", "UnblockTask", "UndecodableEvent",
    "UnknownMigration", "UnmetDependencies", "UnpublishTemplate", "UserCreated", "UserDeactivated", "UserForgotten",
    "UserReactivated", "UserRenamed", "ValidateFile", "VerifyReport", "WaitTimeout", "WorkflowActivated",
    "WorkflowArchived", "WorkflowCreated", "WorkflowRunCompleted", "WorkflowRunFailed", "WorkflowRunStarted",
    "Written", "WrongStatus", "aconnect", "check_bundle", "connect", "has_event", "migrate_up", "parse_command",
    "read_migrations", "register_metrics", "register_tracing", "template_step_id", "template_task_id",
    "template_workflow_id",
]
# fmt: on
