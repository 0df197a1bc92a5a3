package compat

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// rule judges the statements that it knows and keeps the catalog up to date; it returns false for all others.
type rule struct {
	name  string
	judge func(j *judge, n *pg.Node) bool
}

// rules are asked in order; the first that knows the statement decides. A statement that none knows is refused.
var rules = []rule{
	{"transaction control", transactionControl},
	{"settings", settings},
	{"create table", createTable},
	{"create table as", createTableAs},
	{"create index", createIndex},
	{"alter table", alterTable},
	{"drop", dropObjects},
	{"rename", renameObject},
	{"move to another schema", setSchema},
	{"view", createView},
	{"function", createFunction},
	{"trigger", createTrigger},
	{"enum", enumType},
	{"domain", domainType},
	{"simple creation", simpleCreate},
	{"sequence", alterSequence},
	{"privileges", privileges},
	{"insert", insertRows},
	{"update", updateRows},
	{"delete", deleteRows},
	{"merge", mergeRows},
	{"truncate", truncateTables},
	{"select", selectRows},
	{"maintenance", maintenance},
	{"dynamic", dynamic},
}

// alterRule judges one command of an ALTER TABLE.
type alterRule func(a *alter)

// alterRules are the commands of ALTER TABLE that are known.
var alterRules = map[pg.AlterTableType]alterRule{
	pg.AlterTableType_AT_AddColumn:               addColumn,
	pg.AlterTableType_AT_DropColumn:              dropColumn,
	pg.AlterTableType_AT_AlterColumnType:         alterColumnType,
	pg.AlterTableType_AT_SetNotNull:              setNotNull,
	pg.AlterTableType_AT_DropNotNull:             dropNotNull,
	pg.AlterTableType_AT_ColumnDefault:           columnDefault,
	pg.AlterTableType_AT_AddConstraint:           addConstraint,
	pg.AlterTableType_AT_ValidateConstraint:      validateConstraint,
	pg.AlterTableType_AT_DropConstraint:          dropConstraint,
	pg.AlterTableType_AT_AddIdentity:             addIdentity,
	pg.AlterTableType_AT_DropIdentity:            dropIdentity,
	pg.AlterTableType_AT_DropExpression:          dropExpression,
	pg.AlterTableType_AT_SetStatistics:           tuneTable,
	pg.AlterTableType_AT_SetOptions:              tuneTable,
	pg.AlterTableType_AT_ResetOptions:            tuneTable,
	pg.AlterTableType_AT_SetRelOptions:           tuneTable,
	pg.AlterTableType_AT_ResetRelOptions:         tuneTable,
	pg.AlterTableType_AT_SetStorage:              setStorage,
	pg.AlterTableType_AT_SetCompression:          setStorage,
	pg.AlterTableType_AT_ClusterOn:               tuneTable,
	pg.AlterTableType_AT_DropCluster:             tuneTable,
	pg.AlterTableType_AT_SetLogged:               rewriteTable,
	pg.AlterTableType_AT_SetUnLogged:             rewriteTable,
	pg.AlterTableType_AT_SetAccessMethod:         rewriteTable,
	pg.AlterTableType_AT_SetTableSpace:           rewriteTable,
	pg.AlterTableType_AT_EnableTrig:              enableTrigger,
	pg.AlterTableType_AT_EnableAlwaysTrig:        enableTrigger,
	pg.AlterTableType_AT_EnableReplicaTrig:       disableTrigger,
	pg.AlterTableType_AT_DisableTrig:             disableTrigger,
	pg.AlterTableType_AT_DisableTrigAll:          disableTrigger,
	pg.AlterTableType_AT_DisableTrigUser:         disableTrigger,
	pg.AlterTableType_AT_ReplicaIdentity:         replicaIdentity,
	pg.AlterTableType_AT_EnableRowSecurity:       rowSecurity,
	pg.AlterTableType_AT_ForceRowSecurity:        rowSecurity,
	pg.AlterTableType_AT_DisableRowSecurity:      rowSecurity,
	pg.AlterTableType_AT_NoForceRowSecurity:      rowSecurity,
	pg.AlterTableType_AT_ChangeOwner:             changeOwner,
	pg.AlterTableType_AT_AttachPartition:         attachPartition,
	pg.AlterTableType_AT_DetachPartition:         detachPartition,
	pg.AlterTableType_AT_DetachPartitionFinalize: detachPartition,
}
